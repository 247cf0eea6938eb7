#!/usr/bin/env python3
"""A program that says itself who is guilty when a CUDA call of its fails: include/kguard.h by ctypes.

    LD_PRELOAD=$PWD/build/libkguard.so python3 examples/last_diagnosis.py
"""

import ctypes
import json

import run

KG_JSON = 1


def last_diagnosis():
    """What kguard knows of this process's last CUDA failure, as a dictionary; None: nothing, or it
    is not preloaded."""
    try:
        ask = ctypes.CDLL(None).kg_last_diagnosis
    except AttributeError:
        return None
    ask.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t]
    ask.restype = ctypes.c_size_t
    length = ask(KG_JSON, None, 0)
    text = ctypes.create_string_buffer(length + 1)
    ask(KG_JSON, text, length + 1)
    return json.loads(text.value) if length else None


def main():
    try:
        run.main()
    except RuntimeError as error:
        guilty = last_diagnosis()
        if not guilty:
            raise
        print(f"{guilty['code']}: {guilty['library']} holds {guilty['holds']}")
        print(f"to do: {guilty['help']}")
        raise SystemExit(3) from error


if __name__ == "__main__":
    main()
