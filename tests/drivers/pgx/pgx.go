// Go, pgx, and pgxpool.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/jackc/pgconn"
	"github.com/jackc/pgx/v4"
	"github.com/jackc/pgx/v4/pgxpool"
)

var background = context.Background()

type pgxApplication struct {
	connection *pgx.Conn
	pool       *pgxpool.Pool
}

// What COPY writes to or reads from: stops after its first piece until the next command.
type pausing struct {
	begun   bool
	resumed chan struct{}
}

func (pause *pausing) Write(data []byte) (int, error) {
	if !pause.begun {
		pause.begun = true
		say(answer{"ok": true})
		nextCommand()
	}
	return len(data), nil
}

func (pause *pausing) Read(data []byte) (int, error) {
	if !pause.begun {
		pause.begun = true
		return copy(data, "a line\n"), nil
	}
	say(answer{"ok": true})
	nextCommand()
	close(pause.resumed)
	return 0, io.EOF
}

func (app *pgxApplication) version() string { return "pgx " + os.Getenv("DRIVER_VERSION") }

func (app *pgxApplication) connect() error {
	if app.connection != nil {
		_ = app.connection.Close(background)
	}
	app.connection = nil
	connection, err := pgx.Connect(background, "")
	if err == nil {
		app.connection = connection
	}
	return err
}

func (app *pgxApplication) run(sql string) func() error {
	return func() error {
		_, err := app.connection.Exec(background, sql)
		return err
	}
}

func (app *pgxApplication) commands() map[string]func() error {
	return map[string]func() error{
		"connect": app.connect,
		"begin":   app.run("BEGIN"),
		"query":   app.run("SELECT 1"),
		"hold":    app.run("SELECT pg_sleep(3600)"),
		"copy_out": func() error {
			_, err := app.connection.PgConn().CopyTo(background, &pausing{}, copyOut)
			return err
		},
		"copy_in": func() error {
			// pgx hears of the error while another goroutine still reads.
			source := &pausing{resumed: make(chan struct{})}
			_, err := app.connection.PgConn().CopyFrom(background, source, copyIn)
			<-source.resumed
			return err
		},
	}
}

func (app *pgxApplication) describe(err error) answer {
	said := answer{"class": fmt.Sprintf("%T", err), "broken": app.connection == nil || app.connection.IsClosed()}
	var fromServer *pgconn.PgError
	if errors.As(err, &fromServer) {
		said["class"] = "pgconn.PgError"
		said["sqlstate"] = fromServer.Code
		said["detail"] = fromServer.Detail
		said["hint"] = fromServer.Hint
	}
	return said
}

func (app *pgxApplication) openPool(size int) error {
	config, err := pgxpool.ParseConfig(fmt.Sprintf("pool_max_conns=%d pool_min_conns=%d", size, size))
	if err != nil {
		return err
	}
	app.pool, err = pgxpool.ConnectConfig(background, config)
	if err != nil {
		return err
	}
	borrowed := make([]*pgxpool.Conn, size)
	for index := range borrowed {
		if borrowed[index], err = app.pool.Acquire(background); err != nil {
			return err
		}
	}
	for _, connection := range borrowed {
		connection.Release()
	}
	return nil
}

func (app *pgxApplication) usePool() error {
	_, err := app.pool.Exec(background, "SELECT 1")
	return err
}

func main() { serve(&pgxApplication{}) }
