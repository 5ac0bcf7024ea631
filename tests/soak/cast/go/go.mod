module github.com/callsheet/callsheet/tests/soak/cast/go

go 1.24

require github.com/callsheet/callsheet/bindings-c/go v0.0.0

replace github.com/callsheet/callsheet/bindings-c/go => ../../../../bindings-c/go
