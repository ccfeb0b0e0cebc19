import pytest

from tests.fakes import fake_camvid, fake_cityscapes, fake_kitti


@pytest.fixture(scope="session")
def composite_roots(tmp_path_factory):
    """Three data sets in one folder: CamVid, Cityscapes and KITTI."""
    top = tmp_path_factory.mktemp("composite")
    fakes = {"camvid": fake_camvid, "cityscapes": fake_cityscapes, "kitti": fake_kitti}
    return tuple(fake(top / name) for name, fake in fakes.items())
