from tests.golden.entry import Entry

TABLE = {"fast-seg/dfnet": Entry(options=lambda found, golden: {"ppm_padding": 1})}
