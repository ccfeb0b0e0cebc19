from tests.golden.entry import Entry

TABLE = {"fast-seg/swiftnet": Entry()}
