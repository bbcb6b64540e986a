"""An error inside a network names the module it came from, by its path and its sizes."""

import pickle

import pytest

import retrograd as torch
from retrograd import nn


def net():
    return nn.Sequential(nn.Linear(4, 10), nn.ReLU(), nn.Linear(10, 40), nn.ReLU(), nn.Linear(41, 5))


class Outer(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.blocks = nn.ModuleList([nn.Identity(), inner])

    def forward(self, x):
        return self.blocks[1](x)


def message(module, *args):
    with pytest.raises(Exception) as caught:
        module(*args)
    return "\n".join([str(caught.value), *getattr(caught.value, "__notes__", ())])


def test_the_path_of_the_module_ends_the_message():
    text = message(net(), torch.ones(3, 4))
    assert text.endswith("in Sequential.4: Linear(41, 5)")
    assert "3x40 and 41x5" in text


def test_the_path_grows_as_the_error_climbs():
    text = message(Outer(Outer(net())), torch.ones(3, 4))
    assert text.endswith("in Outer.blocks.1.blocks.1.4: Linear(41, 5)")
    assert text.count("Linear(41, 5)") == 1


def test_a_module_by_itself_is_named_too():
    assert message(nn.Linear(4, 2), torch.ones(3)).endswith("in Linear(4, 2)")


def test_the_type_of_the_error_stays():
    with pytest.raises(RuntimeError, match="Linear"):
        net()(torch.ones(3, 4))
    with pytest.raises(ValueError, match=r"in Sequential\.0: BatchNorm2d\(3\)"):
        nn.Sequential(nn.BatchNorm2d(3))(torch.ones(2, 3))
    with pytest.raises(IndexError, match=r"in Sequential\.0: Embedding\(3, 2\)"):
        nn.Sequential(nn.Embedding(3, 2))(torch.tensor([7]))


class Odd(Exception):
    def __init__(self, number, text):
        super().__init__(number, text)


@pytest.mark.parametrize("error", [KeyError("name"), Odd(3, "three"), NotImplementedError("later"), RuntimeError(1, 2)])
def test_an_error_of_another_shape_is_annotated_by_a_note(error):
    class Fails(nn.Module):
        def forward(self, x):
            raise error

    args = error.args
    with pytest.raises(type(error)) as caught:
        Outer(Outer(Fails()))(torch.ones(1))
    assert caught.value is error
    assert error.args == args
    assert error.__notes__ == ["in Outer.blocks.1.blocks.1: Fails()"]


def test_an_error_of_a_hook_and_a_broken_repr():
    class Shy(nn.Module):
        def extra_repr(self):
            raise RuntimeError("no")

        def forward(self, x):
            raise ValueError("inside")

    assert message(Outer(Shy()), torch.ones(1)) == "inside\n  in Outer.blocks.1: Shy()"
    hooked = nn.Tanh()
    hooked.register_forward_hook(lambda m, a, o: 1 / 0)
    assert message(Outer(hooked), torch.ones(1)).endswith("in Outer.blocks.1: Tanh()")


def test_a_module_reached_outside_the_tree_keeps_its_own_name():
    lonely = nn.Linear(2, 2)

    class Holds(nn.Module):
        def forward(self, x):
            return lonely(x)

    assert message(Holds(), torch.ones(3)).endswith("in Linear(2, 2)")


def test_an_error_that_is_caught_and_raised_again_is_written_once():
    caught_below = []

    class Catches(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(2, 2)

        def forward(self, x):
            try:
                return self.inner(x)
            except RuntimeError as error:
                caught_below.append(str(error))
                raise

    assert message(Catches(), torch.ones(3)).endswith("\n  in Catches.inner: Linear(2, 2)")
    assert caught_below[0].endswith("\n  in Linear(2, 2)")


def test_a_call_without_init_says_so():
    class Forgets(nn.Module):
        def __init__(self):
            pass

    with pytest.raises(AttributeError):
        Forgets()(torch.ones(1))


def test_the_annotated_error_can_be_pickled():
    with pytest.raises(RuntimeError) as caught:
        net()(torch.ones(3, 4))
    assert "Linear(41, 5)" in str(pickle.loads(pickle.dumps(caught.value)))
