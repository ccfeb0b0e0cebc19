from tests.golden.entry import Entry

TABLE = {"nvidia-main/hrnet-ocr": Entry()}
