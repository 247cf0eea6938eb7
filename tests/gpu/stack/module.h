/* A Python module of one function, which is given the addresses and lengths of tensors. */
#ifndef MODULE_H
#define MODULE_H

#define Py_LIMITED_API 0x03080000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#define MODULE(name, function)                                                                     \
    static PyMethodDef methods_of_##name[] = {{#function, function, METH_VARARGS, NULL},            \
                                              {NULL, NULL, 0, NULL}};                              \
    static PyModuleDef definition_of_##name = {PyModuleDef_HEAD_INIT, #name, NULL, -1,             \
                                               methods_of_##name, NULL, NULL, NULL, NULL};         \
    PyMODINIT_FUNC PyInit_##name(void)                                                             \
    {                                                                                              \
        return PyModule_Create(&definition_of_##name);                                             \
    }

#endif
