"""The S3 adapter at a real service of others: OpenStack Swift with its middleware for S3, out of Debian's packages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from node.files.s3 import ObjectStore
from node.files.store import FileStore
from tests.conformance.file_store import FileStoreConformance
from tests.worlds.s3_services import SWIFT, make_swift_bucket, swift_service, swift_settings

pytestmark = pytest.mark.outside


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if not (SWIFT / "usr/bin/swift-proxy-server").exists():
        pytest.skip("OpenStack Swift is not there: tests/interop/install-peers unpacks Debian's packages")
    with swift_service(tmp_path_factory.mktemp("swift")) as address:
        yield address


class TestObjectStoreAtSwift(FileStoreConformance):
    @pytest.fixture(autouse=True)
    def _at(self, service: str) -> None:
        self.service, self.bucket = service, f"bucket-{uuid4().hex}"
        make_swift_bucket(service, self.bucket)

    def new_store(self, path: Path) -> FileStore:
        return ObjectStore(swift_settings(self.service, self.bucket, path), path)
