from tests.golden.entry import Entry

TABLE = {"nvidia-main/hrnet": Entry(), "mseg/hrnet": Entry()}
