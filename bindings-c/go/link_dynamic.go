//go:build callsheet_dynamic

package callsheet

// The library that `make install` put into the system, found by pkg-config.

// #cgo pkg-config: callsheet
import "C"
