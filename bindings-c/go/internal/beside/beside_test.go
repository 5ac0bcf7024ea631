// Package beside shows that callsheet, which has a SQLite inside, lives beside another one in one program. It is a module
// of its own, so that the package itself needs none.
package beside

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	callsheet "github.com/callsheet/callsheet/bindings-c/go"
	"github.com/mattn/go-sqlite3"
)

func TestTwoSQLitesInOneProgram(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	folder := t.TempDir()
	client, err := callsheet.Connect(ctx, "local://"+filepath.Join(folder, "registry.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	database, err := sql.Open("sqlite3", filepath.Join(folder, "own.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer database.Close()
	for i := range 20 {
		if _, err := client.Register(ctx, callsheet.Registration{Service: "billing", Port: i + 1}); err != nil {
			t.Fatal(err)
		}
		if _, err := database.ExecContext(ctx, "create table if not exists t (i); insert into t values (?)", i); err != nil {
			t.Fatal(err)
		}
	}
	snapshot, err := client.WaitFor(ctx, "billing", 20)
	if err != nil {
		t.Fatal(err)
	}
	var count int
	var version string
	if err := database.QueryRowContext(ctx, "select count(*), sqlite_version() from t").Scan(&count, &version); err != nil {
		t.Fatal(err)
	}
	// Each calls its own: Go's is the one that was compiled into the other package.
	compiled, _, _ := sqlite3.Version()
	if count != 20 || snapshot.Len() != 20 || version != compiled {
		t.Error(count, snapshot, version, compiled)
	}
}
