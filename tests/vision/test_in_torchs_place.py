"""`import torchvision` in a program that runs on this library, and in its worker processes."""

import subprocess
import sys
import textwrap

from vision.files import write_mnist


def run(path, program, *argv):
    path.write_text(textwrap.dedent(program))
    done = subprocess.run(
        [sys.executable, "-W", "error", str(path), *argv], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_names_are_this_librarys(tmp_path):
    program = """
        import retrograd.as_torch
        import sys
        import torch
        assert "retrograd.torchvision" not in sys.modules
        import torchvision
        import torchvision.transforms.functional as TF
        from torchvision import datasets, models, transforms
        from torchvision.datasets import MNIST
        from torchvision.transforms import v2, ToTensor
        from torchvision.models import resnet18, ResNet18_Weights
        from torchvision.models.resnet import BasicBlock
        from torchvision.utils import make_grid
        import retrograd
        assert torchvision is retrograd.torchvision and datasets is retrograd.torchvision.datasets
        assert torchvision.models.resnet18 is resnet18 and torchvision.__version__ == "0.28.0"
        assert not any(name.partition(".")[0] == "PIL" for name in sys.modules)
        try:
            import torchvision.transform
        except ModuleNotFoundError as error:
            assert "torchvision.transforms" in str(error), error
        try:
            torchvision.transforms.RandomCorp
        except AttributeError as error:
            assert "torchvision.transforms.RandomCrop" in str(error), error
        try:
            import torchaudio
        except ModuleNotFoundError as error:
            print(error)
    """
    assert run(tmp_path / "program.py", program) == "No module named 'torchaudio'\n"


def test_workers_that_start_afresh(tmp_path):
    write_mnist(tmp_path)
    program = """
        import retrograd.as_torch
        from torchvision import datasets, transforms
        import torch

        def main():
            transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))])
            data = datasets.MNIST(FOLDER, transform=transform)
            loader = torch.utils.data.DataLoader(data, batch_size=4, num_workers=1, multiprocessing_context="spawn")
            print([tuple(x.shape) for x, y in loader])

        if __name__ == "__main__":
            main()
    """
    shown = run(tmp_path / "program.py", program.replace("FOLDER", repr(str(tmp_path))))
    assert shown == "[(4, 1, 28, 28), (3, 1, 28, 28)]\n"
