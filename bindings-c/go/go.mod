module github.com/callsheet/callsheet/bindings-c/go

go 1.24
