// The floor of everything in Go: a call into C that does nothing.

package main

// static void nothing(void) {}
import "C"

func empty() { C.nothing() }
