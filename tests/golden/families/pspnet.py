from tests.golden.entry import Entry

TABLE = {"semseg/pspnet": Entry(), "fast-seg/pspnet": Entry()}
