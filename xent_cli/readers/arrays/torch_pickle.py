"""The pickle in a torch.save file, read as a description of data: nothing that it names is imported or called."""

from __future__ import annotations

from typing import Any

from xent_cli.errors import InputError
from xent_cli.readers.arrays.torch_objects import is_known, key_text, meaning_of_call, storage_of
from xent_cli.readers.arrays.torch_types import SAVE_LINE, DamagedPickleError, Name, Unsupported

MAX_BYTES = 16 << 20
# Enough for a list of 50,000 tensors.
_MAX_OPCODES = 1_500_000
_MAX_NAME = 100

_PUT = frozenset({"BINPUT", "LONG_BINPUT", "PUT"})
_GET = frozenset({"BINGET", "LONG_BINGET", "GET"})
_PUSH = frozenset({"BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"})
_PUSH |= {"STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
_PUSH |= {"BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_IGNORED = frozenset({"PROTO", "FRAME"})
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def read_pickle(data: bytes, path: str) -> Any:
    """Read the pickle of a torch.save file.

    Tensors become `Tensor` or `Unsupported`. Dicts, lists and tuples stay so, with the keys of dicts as text. Numbers,
    text and None stay as they are; anything else becomes a `Name`.

    Parameters
    ----------
    path
        Of the file, for messages.

    Raises
    ------
    InputError
        If the pickle is damaged or too large, or names a function or class that a file of tensors does not need.
    """
    import pickletools
    import struct

    machine = _Machine(path)
    fault: InputError | None = None
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(data)):
            if count == _MAX_OPCODES:
                raise too_many_objects(path, f"more than {_MAX_OPCODES:,} opcodes")
            machine.step(opcode.name, argument)
    except (
        DamagedPickleError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError,
        struct.error,
    ):  # fmt: skip
        fault = damaged(path, "a pickle that makes no sense")
    except InputError as error:
        fault = error.with_traceback(None)
    result = machine.result
    # A traceback keeps its frames alive, and with them everything that a hostile pickle has built.
    del machine
    if fault is not None:
        raise fault
    return result


def damaged(path: str, found: str) -> InputError:
    """Return the error for a file that contradicts itself."""
    return InputError("damaged PyTorch file", path, found=found, hint="write it again with torch.save")


def too_many_objects(path: str, found: str) -> InputError:
    """Return the error for a file with more objects than a file of outputs ever needs."""
    return InputError(
        "too many objects in a PyTorch file",
        path,
        found=found,
        expected="a few tensors of many samples each",
        hint="join them first: torch.save(torch.cat(outputs), 'logits.pt')",
    )


class _Machine:
    """The stack machine that runs a pickle, limited to the opcodes that build data."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._stack: list[Any] = []
        self._below: list[list[Any]] = []
        self._memo: dict[int, Any] = {}
        self.result: Any = None

    def step(self, opcode: str, argument: Any) -> None:
        """Carry out one opcode."""
        stack = self._stack
        if opcode in _PUT:
            self._memo[argument] = stack[-1]
        elif opcode in _PUSH:
            stack.append(argument)
        elif opcode in _GET:
            stack.append(self._memo[argument])
        elif opcode in _CONSTANTS:
            stack.append(_CONSTANTS[opcode])
        elif opcode in _TUPLES:
            size = _TUPLES[opcode]
            stack[-size:] = [self._last(size)]
        elif opcode not in _IGNORED:
            self._step(opcode, argument)

    def _step(self, opcode: str, argument: Any) -> None:
        stack = self._stack
        match opcode:
            case "MARK":
                self._below.append(stack)
                self._stack = []
            case "TUPLE":
                items = tuple(self._marked())
                self._stack.append(items)
            case "REDUCE" | "NEWOBJ":
                arguments = stack.pop()
                stack[-1] = meaning_of_call(stack[-1], arguments)
            case "BINPERSID":
                stack[-1] = storage_of(stack[-1])
            case "GLOBAL":
                module, _, name = argument.partition(" ")
                stack.append(self._named(module, name))
            case "STACK_GLOBAL":
                module, name = self._last(2)
                stack[-2:] = [self._named(module, name)]
            case "MEMOIZE":
                self._memo[len(self._memo)] = stack[-1]
            case "EMPTY_DICT":
                stack.append({})
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_SET":
                stack.append(Name("builtins.set"))
            case "SETITEM":
                items = self._last(2)
                del stack[-2:]
                self._set_items(items)
            case "SETITEMS":
                self._set_items(tuple(self._marked()))
            case "DICT":
                items = tuple(self._marked())
                self._stack.append({})
                self._set_items(items)
            case "APPEND":
                self._extend([stack.pop()])
            case "APPENDS" | "ADDITEMS":
                self._extend(self._marked())
            case "LIST":
                marked = self._marked()
                self._stack.append(marked)
            case "FROZENSET":
                self._marked()
                self._stack.append(Name("builtins.frozenset"))
            case "BUILD":  # attributes of a dict or of a plain value
                stack.pop()
                if not isinstance(stack[-1], dict | Name | Unsupported):
                    raise DamagedPickleError
            case "POP":
                stack.pop()
            case "POP_MARK":
                self._marked()
            case "DUP":
                stack.append(stack[-1])
            case "STOP":
                (self.result,) = stack
            case "INST" | "OBJ" | "NEWOBJ_EX":
                raise self._foreign("an object of a class")
            case _:
                raise self._foreign(f"the pickle opcode {opcode}")

    def _last(self, size: int) -> tuple[Any, ...]:
        """Return the last items on the stack without removing them."""
        items = tuple(self._stack[-size:])
        if len(items) < size:
            raise DamagedPickleError
        return items

    def _marked(self) -> list[Any]:
        """Take everything above the last mark off the stack."""
        items, self._stack = self._stack, self._below.pop()
        return items

    def _extend(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if isinstance(target, list):
            target.extend(items)
        elif not isinstance(target, Name):
            raise DamagedPickleError

    def _set_items(self, items: tuple[Any, ...]) -> None:
        target = self._stack[-1]
        if not isinstance(target, dict | Name):
            raise DamagedPickleError
        for key, value in zip(items[::2], items[1::2], strict=True):
            if isinstance(target, dict):
                name = key_text(key)
                if name in target:  # 1 and "1" would be one
                    raise DamagedPickleError
                target[name] = value

    def _named(self, module: Any, name: Any) -> Name:
        if not isinstance(module, str) or not isinstance(name, str):
            raise DamagedPickleError
        if not is_known(module, name):
            raise self._foreign(f"{module}.{name}")
        return Name(f"{module}.{name}")

    def _foreign(self, name: str) -> InputError:
        shown = name if len(name) <= _MAX_NAME else f"{name[:_MAX_NAME]}..."
        if name.startswith("torch.nn."):
            return InputError(
                "a model, not its outputs",
                self._path,
                found=f"a pickled {shown}: none of it was run",
                expected="a file of tensors",
                hint=f"run the model and save what it returns: {SAVE_LINE}",
            )
        return InputError(
            "more than tensors in a PyTorch file",
            self._path,
            found=f"{shown}, which can be code: none of it was run",
            expected="tensors, and dicts, lists and tuples of them",
            hint=f"save the tensors alone: {SAVE_LINE}",
        )
