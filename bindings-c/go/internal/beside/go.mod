module github.com/callsheet/callsheet/bindings-c/go/internal/beside

go 1.24

require github.com/callsheet/callsheet/bindings-c/go v0.0.0

require github.com/mattn/go-sqlite3 v1.14.53

replace github.com/callsheet/callsheet/bindings-c/go => ../..
