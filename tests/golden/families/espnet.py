from tests.golden.entry import Entry

TABLE = {"sacmehta/espnet": Entry(), "sacmehta/espnet-c": Entry()}
