"""`retrograd run` runs a program as `python` does, with this library in torch's place."""

import json
import os
import subprocess
import sys
import textwrap

import pytest


@pytest.fixture
def retrograd(tmp_path):
    """Run the command in a folder of its own, as a process of its own, with warnings as errors."""

    def command(*words, stdin=None):
        argv = [sys.executable, "-W", "error", "-m", "retrograd.cli", *words]
        return subprocess.run(argv, cwd=tmp_path, input=stdin, capture_output=True, text=True, timeout=120)

    return command


@pytest.fixture
def write(tmp_path):
    def file(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return name

    return file


@pytest.fixture
def notebook(tmp_path):
    def file(name, *cells, **metadata):
        book = {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": []}
        book["cells"].append({"cell_type": "markdown", "source": ["# 1/0\n"]})
        for cell in cells:
            book["cells"].append({"cell_type": "code", "source": textwrap.dedent(cell).splitlines(keepends=True)})
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(json.dumps(book))
        return name

    return file


def test_a_program_trains_on_this_library(retrograd, write):
    write(
        "train.py",
        """
        import torch
        import torch.nn.functional as F
        from torch import nn
        from torch.optim.lr_scheduler import StepLR
        from torch.utils.data import DataLoader, TensorDataset

        torch.manual_seed(0)
        net = nn.Linear(3, 1)
        sgd = torch.optim.SGD(net.parameters(), lr=0.1)
        schedule = StepLR(sgd, 5)
        x = torch.randn(16, 3)
        y = x.sum(1, keepdim=True)
        losses = []
        for _ in range(20):
            for u, v in DataLoader(TensorDataset(x, y), batch_size=8):
                sgd.zero_grad()
                loss = F.mse_loss(net(u), v)
                loss.backward()
                sgd.step()
            losses.append(loss.item())
            schedule.step()
        print(torch.__version__, losses[-1] < 0.2 * losses[0], torch.nn.Linear is nn.Linear, nn.Linear.__module__)
        """,
    )
    done = retrograd("run", "train.py")
    assert done.stderr == ""
    version, better, same, module = done.stdout.split()
    assert (version, better, same) == ("2.13.0+retrograd", "True", "True")
    assert module.startswith("retrograd.")


def test_argv_main_and_path_are_the_programs_own(retrograd, write):
    write("folder/beside.py", "here = 'beside'")
    write(
        "folder/show.py",
        """
        import json, os, sys
        import beside
        main = sys.modules["__main__"]
        print(json.dumps([sys.argv, __name__, __file__, sys.path[0], beside.here, main.__file__ == __file__, __doc__]))
        """,
    )
    done = retrograd("run", "folder/show.py", "-m", "two words", "--lr=3", "--help")
    assert done.stderr == ""
    argv, name, file, first, beside, same, doc = json.loads(done.stdout)
    assert argv == ["folder/show.py", "-m", "two words", "--lr=3", "--help"]
    assert (name, beside, same, doc) == ("__main__", "beside", True, None)
    assert os.path.isabs(file) and os.path.basename(file) == "show.py"
    assert first.endswith("folder")


@pytest.mark.parametrize(
    ("program", "status"),
    [
        ("import sys; sys.exit(7)", 7),
        ("raise SystemExit", 0),
        ("raise SystemExit('a message')", 1),
        ("1 / 0", 1),
        ("def broken(:", 1),
        ("raise KeyboardInterrupt", 130),
        ("import torch", 0),
    ],
)
def test_exit_status(retrograd, write, program, status):
    done = retrograd("run", write("program.py", program))
    assert done.returncode == status


def test_a_traceback_shows_the_program_and_not_the_runner(retrograd, write, tmp_path):
    write(
        "wrong.py",
        """
        def outer():
            inner()
        def inner():
            raise ValueError("deliberate")
        outer()
        """,
    )
    done = retrograd("run", "wrong.py")
    python = subprocess.run([sys.executable, "wrong.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr == python.stderr.replace(' "wrong.py"', f' "{tmp_path / "wrong.py"}"')
    assert "deliberate" in done.stderr


def test_the_programs_own_excepthook_is_called(retrograd, write):
    program = "import sys\nsys.excepthook = lambda kind, value, trace: print('mine', kind.__name__)\n1 / 0"
    done = retrograd("run", write("hooked.py", program))
    assert (done.stdout, done.stderr, done.returncode) == ("mine ZeroDivisionError\n", "", 1)


def test_a_module_and_a_package(retrograd, write):
    write("package/__init__.py", "import torch.nn")
    write("package/__main__.py", "import sys; from . import tool; print(sys.argv[1:], __package__, __spec__.name)")
    write("package/tool.py", "import sys; print(__name__, sys.argv[1:])")
    assert retrograd("run", "-m", "package", "-x").stdout == "package.tool ['-x']\n['-x'] package package.__main__\n"
    assert retrograd("run", "-m", "package.tool", "1").stdout == "__main__ ['1']\n"
    absent = retrograd("run", "-m", "absent")
    assert absent.returncode == 1 and "there is no module 'absent'" in absent.stderr


def test_standard_input(retrograd):
    done = retrograd("run", "-", "word", stdin="import sys, torch\nprint(sys.argv, torch.__package__)\n1 / 0\n")
    assert done.stdout == "['-', 'word'] retrograd\n"
    assert "    1 / 0\n" in done.stderr and done.returncode == 1


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_worker_processes_run_the_program_too(retrograd, write, method):
    if sys.platform == "win32" and method != "spawn":
        pytest.skip("Windows has no fork")
    write(
        "workers.py",
        f"""
        import multiprocessing
        import torch
        import torch.nn as nn

        class Double:
            def __call__(self, x):
                return (2 * x, torch.__package__, nn.__name__, torch.__version__)

        if __name__ == "__main__":
            with multiprocessing.get_context({method!r}).Pool(1) as pool:
                print(pool.map(Double(), [21])[0])
        """,
    )
    done = retrograd("run", "workers.py")
    assert done.stdout == "(42, 'retrograd', 'retrograd.nn', '2.13.0+retrograd')\n", done.stderr


def test_a_pool_takes_torchs_functions(retrograd, write):
    write(
        "pool.py",
        """\
        import multiprocessing
        import torch

        if __name__ == "__main__":
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                print(pool.map(torch.sqrt, [torch.tensor(4.0)]))
        """,
    )
    done = retrograd("run", "pool.py")
    assert done.stdout == "[tensor(2.)]\n", done.stderr


def test_objects_are_pickled_by_this_librarys_names(retrograd, write):
    program = (
        "import pickle, torch\nprint(b'retrograd' in pickle.dumps(torch.nn.ReLU), torch.nn.ReLU().__class__.__module__)"
    )
    assert retrograd("run", write("pickles.py", program)).stdout.startswith("True retrograd.nn")


def test_a_notebooks_code_cells_run(retrograd, notebook):
    notebook(
        "folder/lesson.ipynb",
        """\
        !pip install torch
        %matplotlib inline
        import torch
        rows = (7
         % 4)
        text = '''
        !kept
        '''""",
        "%%bash\nexit 1",
        "%%time\nif rows:\n    !ls \\\n       folder\n    %time rows += 1\nfiles = !ls",
        "def double(x):\n    return 2 * x\ntorch.nn?\ndouble(rows)",
        "display(text)\nrows;",
        "import os, sys\nprint(os.path.basename(os.getcwd()), sys.argv, __name__)",
    )
    done = retrograd("run", "folder/lesson.ipynb", "word")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "8",
        repr("\n!kept\n"),
        "folder ['folder/lesson.ipynb', 'word'] __main__",
    ]
    skipped = [line.partition("skipped ")[2] for line in done.stderr.splitlines()]
    assert skipped == [
        "'!pip install torch'",
        "'%matplotlib inline'",
        "'%%bash ...'",
        r"'!ls \\'",
        "'files = !ls'",
        "'torch.nn?'",
    ]


def test_a_notebooks_magics_with_options_and_its_shell_object(retrograd, notebook):
    notebook(
        "colab.ipynb",
        "%timeit -n 10 -r2 print('once')",
        "print('google.colab' in str(get_ipython()))",
        "get_ipython().run_line_magic('matplotlib', 'inline')\nget_ipython().system('pip install torch')",
    )
    done = retrograd("run", "colab.ipynb")
    assert done.stdout.splitlines() == ["once", "False"], done.stderr
    assert [line.partition("colab.ipynb, ")[2] for line in done.stderr.splitlines()] == [
        "cell 3: skipped '%matplotlib inline'",
        "cell 3: skipped '!pip install torch'",
    ]


def test_a_notebooks_error_quotes_the_cell(retrograd, notebook):
    notebook("wrong.ipynb", "fine = 1", "x = 0\n\nfine / x")
    done = retrograd("run", "wrong.ipynb")
    assert done.returncode == 1
    assert '  File "wrong.ipynb, cell 2", line 3, in <module>\n    fine / x\n' in done.stderr
    assert "_notebook" not in done.stderr and "_program" not in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run"], "say which program"),
        (["run", "progam.py"], "did you mean 'program.py'?"),
        (["run", "nowhere/x.py"], "nor a folder 'nowhere'"),
        (["run", "."], "is a folder"),
        (["rn"], "invalid choice"),
    ],
)
def test_what_cannot_be_run_is_said_in_a_line(retrograd, write, words, said):
    write("program.py", "")
    done = retrograd(*words)
    assert done.returncode == 2 and said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_is_no_python_notebook(retrograd, write, notebook):
    write("plain.ipynb", "not json")
    notebook("julia.ipynb", "1", language_info={"name": "julia"})
    assert "is not a notebook" in retrograd("run", "plain.ipynb").stderr
    assert "only Python can be run" in retrograd("run", "julia.ipynb").stderr


def test_version_and_help(retrograd):
    assert retrograd("--version").stdout.startswith("retrograd ")
    assert "notebook" in retrograd("run", "--help").stdout
    assert retrograd().returncode == 2
