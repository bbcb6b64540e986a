"""torch.hub: models from a local folder's hubconf.py; nothing is fetched from the network."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from typing import Any
from urllib.parse import urlparse as urlparse

HASH_REGEX = re.compile(r"-([a-f0-9]*)\.")  # the start of a file's SHA256, in its name

_directory: list[str] = []


def get_dir() -> str:
    """Give the folder where downloaded models would be kept."""
    if _directory:
        return _directory[0]
    home = os.environ.get("TORCH_HOME", os.path.join(os.path.expanduser("~"), ".cache", "torch"))
    return os.path.join(home, "hub")


def set_dir(d: Any) -> None:
    """Set that folder."""
    _directory[:] = [os.path.expanduser(os.fspath(d))]


def _local(repo_or_dir: str, source: str) -> Any:
    if source not in ("github", "local"):
        raise ValueError(f'Unknown source: "{source}". Allowed values: "github" | "local".')
    if source == "github":
        raise RuntimeError(
            f"torch.hub fetches nothing from the network here: clone {repo_or_dir} and give its path with source='local'"
        )
    folder = os.path.abspath(repo_or_dir)
    spec: Any = importlib.util.spec_from_file_location("hubconf", os.path.join(folder, "hubconf.py"))
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(folder)
    return module


def _entry(module: Any, model: str) -> Any:
    found = getattr(module, model, None)
    if not callable(found):
        raise RuntimeError(f"Cannot find callable {model} in hubconf")
    return found


def list(
    repo_or_dir: str, force_reload: bool = False, skip_validation: bool = False, source: str = "local", **ignored: Any
) -> Any:
    """Give the names of a local folder's models."""
    module = _local(repo_or_dir, source)
    return [n for n in dir(module) if callable(getattr(module, n)) and not n.startswith("_")]


def help(repo_or_dir: str, model: str, source: str = "local", **ignored: Any) -> str | None:
    """Give the docstring of a local folder's model."""
    doc: str | None = _entry(_local(repo_or_dir, source), model).__doc__
    return doc


def load(repo_or_dir: str, model: str, *args: Any, source: str = "github", **kwargs: Any) -> Any:
    """Make a model of a local folder; RuntimeError for one that would have to be fetched."""
    for name in ("trust_repo", "force_reload", "verbose", "skip_validation"):
        kwargs.pop(name, None)
    return _entry(_local(repo_or_dir, source), model)(*args, **kwargs)


def download_url_to_file(url: str, dst: str, hash_prefix: str | None = None, progress: bool = True) -> None:
    """Raise RuntimeError: nothing is fetched from the network."""
    raise RuntimeError(f"torch.hub fetches nothing from the network here: get {url} yourself, and put it at {dst}")


def load_state_dict_from_url(
    url: str, model_dir: Any = None, map_location: Any = None, file_name: str | None = None, **ignored: Any
) -> Any:
    """Load weights that lie in the folder already; RuntimeError, with the path, where they do not."""
    from .serialization import load as load_file

    folder = os.path.join(get_dir(), "checkpoints") if model_dir is None else os.fspath(model_dir)
    path = os.path.join(folder, file_name or os.path.basename(url.partition("?")[0]))
    if not os.path.exists(path):
        raise RuntimeError(f"torch.hub fetches nothing from the network here: put {url} at {path}")
    return load_file(path, map_location=map_location)


class _Bar:
    """What stands for ``tqdm``'s progress bar where that package is missing: it counts, and shows nothing."""

    def __init__(self, iterable: Any = None, *ignored: Any, **options: Any) -> None:
        self.iterable, self.n = iterable, 0

    def __iter__(self) -> Any:
        for item in self.iterable:
            yield item
            self.n += 1

    def __len__(self) -> int:
        return len(self.iterable)

    def update(self, n: int = 1) -> None:
        """Count some more."""
        self.n += n

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **options: None

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *error: object) -> None:
        pass


def __getattr__(name: str) -> Any:
    if name == "tqdm":
        try:
            from tqdm import tqdm
        except ImportError:
            return _Bar
        return tqdm
    from .utils._names import missing

    raise missing(__name__, name, __all__)


__all__ = ["download_url_to_file", "get_dir", "help", "list", "load", "load_state_dict_from_url", "set_dir"]
