"""MNIST and Fashion-MNIST, from a folder, the cache, or a verified download."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from pathlib import Path

import numpy as np

from ..errors import FileFormatError, to_install
from .idx import read_idx

Split = tuple[np.ndarray, np.ndarray]

_FILES = {
    "train-images-idx3-ubyte": (60000, 28, 28),
    "train-labels-idx1-ubyte": (60000,),
    "t10k-images-idx3-ubyte": (10000, 28, 28),
    "t10k-labels-idx1-ubyte": (10000,),
}


class DownloadError(OSError):
    """The data set is not on this machine and cannot be downloaded.

    Examples
    --------
    >>> try:
    ...     train, test = cr.datasets.mnist()  # doctest: +SKIP
    ... except cr.datasets.DownloadError:
    ...     train, test = cr.datasets.mnist1d()  # generated, so nothing is downloaded
    """


@dataclasses.dataclass(frozen=True)
class _Published:
    """A data set as published by its authors."""

    name: str
    folder: str
    mirrors: tuple[str, ...]
    sha256: tuple[str, ...]  # digests of the published .gz files
    md5: tuple[str, ...] = ()  # digests of the unpacked files, if published


# Y. LeCun, C. Cortes, C. Burges; CC BY-SA 3.0.
_MNIST = _Published(
    name="MNIST",
    folder="mnist",
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    sha256=(
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
    md5=(
        "6bbc9ace898e44ae57da46a324031adb",
        "a25bea736e30d166cdddb491f175f624",
        "2646ac647ad5339dbf082846283269ea",
        "27ae3e4e09519cfbb04c329615203637",
    ),
)

# H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST", 2017; MIT.
_FASHION = _Published(
    name="Fashion-MNIST",
    folder="fashion-mnist",
    mirrors=(
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "https://fashion-mnist.s3.eu-central-1.amazonaws.com/",
    ),
    sha256=(
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    ),
)


def mnist(data_home: str | Path | None = None) -> tuple[Split, Split]:
    """Load MNIST, handwritten digits (Y. LeCun, C. Cortes and C. Burges; CC BY-SA 3.0).

    The function searches `data_home`, ``$CHAINRULE_DATA`` and the cache. In each of these places,
    the files can be in the folder itself, in a subfolder ``mnist`` (or ``MNIST``), or in a
    subfolder ``raw`` of one of these folders, as torchvision stores the files. If the files are not
    found, they are downloaded to the cache (needs the ``datasets`` extra).

    Parameters
    ----------
    data_home : str or Path, optional
        A folder with the four IDX files, compressed or not. Names such as
        ``train-images.idx3-ubyte`` and names in capital letters are also accepted.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : tuples of array
        Images ``(60000, 28, 28)`` and ``(10000, 28, 28)``, as uint8 from 0 to 255. Labels
        ``(60000,)`` and ``(10000,)``, as int64 from 0 to 9.

    Raises
    ------
    FileFormatError
        If a file is damaged or does not belong to the data set.
    DownloadError
        If the data set is not found and cannot be downloaded.

    Examples
    --------
    >>> (x_train, y_train), (x_test, y_test) = cr.datasets.mnist()  # doctest: +SKIP
    >>> x_train.shape, x_train.dtype, y_test.shape  # doctest: +SKIP
    ((60000, 28, 28), dtype('uint8'), (10000,))
    """
    return _load(_MNIST, data_home)


def mnist_is_on_disk() -> bool:
    """Return whether `mnist` needs no download."""
    homes = [Path(home) for home in (os.environ.get("CHAINRULE_DATA"), _cache()) if home]
    folders = [folder for home in homes for folder in _folders(_MNIST, home)]
    return any(_FILES.keys() <= _files(folder).keys() for folder in folders)


def fashion_mnist(data_home: str | Path | None = None) -> tuple[Split, Split]:
    """Load Fashion-MNIST, articles of clothing (H. Xiao, K. Rasul and R. Vollgraf, 2017; MIT).

    The function works like `mnist`, except that the subfolder is ``fashion-mnist`` (or
    ``FashionMNIST``). Both data sets have the same file names, so a folder that holds MNIST is
    skipped.

    Parameters
    ----------
    data_home : str or Path, optional
        See `mnist`.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : tuples of array
        See `mnist`.

    Examples
    --------
    >>> (x_train, y_train), (x_test, y_test) = cr.datasets.fashion_mnist()  # doctest: +SKIP
    >>> x_train.shape, y_test.shape  # doctest: +SKIP
    ((60000, 28, 28), (10000,))
    """
    return _load(_FASHION, data_home)


def _load(dataset: _Published, data_home: str | Path | None) -> tuple[Split, Split]:
    homes = [Path(h) for h in (data_home, os.environ.get("CHAINRULE_DATA"), _cache()) if h]
    for home in homes:
        for found in map(_files, _folders(dataset, home)):
            if _FILES.keys() <= found.keys():
                paths = [found[name] for name in _FILES]
                arrays = _read(paths)
                if dataset is _MNIST or _md5(arrays[3]) != _MNIST.md5[3]:
                    return _split(dataset, paths, arrays)
    names = ", ".join(f"{name}[.gz]" for name in _FILES)
    places = ", ".join(map(str, homes)) or "no folder"
    paths = _download(dataset, f"its four IDX files ({names}) were not all found in {places}")
    return _split(dataset, paths, _read(paths))


def _read(paths: list[Path]) -> list[np.ndarray]:
    return [read_idx(p, shape=shape) for p, shape in zip(paths, _FILES.values(), strict=True)]


def _cache() -> Path | None:
    try:
        import pooch
    except ImportError:
        return None
    return Path(pooch.os_cache("chainrule"))


def _folders(dataset: _Published, home: Path) -> list[Path]:
    """Return the folders to search: subfolders named after the data set, then `home` itself."""
    inner = sorted(home.iterdir()) if home.is_dir() else []
    named = [folder for folder in inner if _letters(folder.name) == _letters(dataset.name)]
    return [place for folder in (*named, home) for place in (folder, folder / "raw")]


def _letters(name: str) -> str:
    return "".join(filter(str.isalpha, name.lower()))


def _files(folder: Path) -> dict[str, Path]:
    """Return a dict from published names to files in a folder. Compressed files are preferred."""
    inner = sorted(folder.iterdir()) if folder.is_dir() else []
    published = {p: p.name.lower().removesuffix(".gz").replace(".idx", "-idx") for p in inner}
    return {name: path for path, name in published.items() if path.is_file()}


def _split(dataset: _Published, paths: list[Path], arrays: list[np.ndarray]) -> tuple[Split, Split]:
    """Check the content of the arrays, then split them into training and test data."""
    for path, array, md5 in zip(paths, arrays, dataset.md5 or ("",) * 4, strict=True):
        if array.dtype != np.uint8 or (array.ndim == 1 and array.max() > 9):
            raise FileFormatError(
                f"{path}: expected uint8 (labels from 0 to 9), found {array.dtype} up to "
                f"{array.max()}"
            )
        if md5 and _md5(array) != md5:
            raise FileFormatError(
                f"{path}: this is not the {dataset.name} file: expected content with MD5 {md5}, "
                f"found {_md5(array)}"
            )
    x_train, y_train, x_test, y_test = arrays
    return (x_train, y_train.astype(np.int64)), (x_test, y_test.astype(np.int64))


def _md5(array: np.ndarray) -> str:
    """Return the MD5 of an IDX file that holds this array, to identify the data set."""
    header = bytes([0, 0, 8, array.ndim]) + np.asarray(array.shape, ">u4").tobytes()
    digest = hashlib.md5(header, usedforsecurity=False)
    digest.update(array.tobytes())
    return digest.hexdigest()


def _download(dataset: _Published, missing: str) -> list[Path]:
    try:
        import pooch
    except ImportError as error:
        raise DownloadError(
            f"{dataset.name}: {missing}. To download them: {to_install('datasets')}; or "
            "set CHAINRULE_DATA to a folder with these files"
        ) from error
    cache = _cache()
    assert cache is not None
    folder = cache / dataset.folder
    paths = []
    for name, sha256 in zip(_FILES, dataset.sha256, strict=True):
        failures = []
        for mirror in dataset.mirrors:
            url = f"{mirror}{name}.gz"
            try:
                pooch.retrieve(url, f"sha256:{sha256}", fname=f"{name}.gz", path=folder)
            except Exception as error:  # download errors share no narrower base class
                failures.append(f"{url}: {error}")
            else:
                paths.append(folder / f"{name}.gz")
                break
        else:
            raise DownloadError(
                f"{dataset.name}: {missing}, and cannot be downloaded; set CHAINRULE_DATA to a "
                "folder with these files. " + "; ".join(failures)
            )
    return paths
