// Go, lib/pq below database/sql, and the pool of that.
package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"

	"github.com/lib/pq"
)

var background = context.Background()

type pqApplication struct {
	database   *sql.DB
	connection *sql.Conn
	copying    *sql.Stmt
	pool       *sql.DB
}

func (app *pqApplication) version() string { return "lib/pq " + os.Getenv("DRIVER_VERSION") }

func (app *pqApplication) connect() error {
	if app.connection != nil {
		_ = app.connection.Close()
		_ = app.database.Close()
	}
	app.connection = nil
	database, err := sql.Open("postgres", "application_name="+os.Getenv("PGAPPNAME"))
	if err != nil {
		return err
	}
	app.database = database
	connection, err := database.Conn(background)
	if err == nil {
		app.connection = connection
	}
	return err
}

func (app *pqApplication) run(statement string) func() error {
	return func() error {
		_, err := app.connection.ExecContext(background, statement)
		return err
	}
}

// lib/pq has COPY in only, as a prepared statement in a transaction.
func (app *pqApplication) copyIn() error {
	if err := app.run("BEGIN")(); err != nil {
		return err
	}
	copying, err := app.connection.PrepareContext(background, copyIn)
	if err != nil {
		return err
	}
	app.copying = copying
	_, err = copying.Exec("a line")
	return err
}

func (app *pqApplication) commands() map[string]func() error {
	return map[string]func() error{
		"connect": app.connect,
		"begin":   app.run("BEGIN"),
		"query":   app.run("SELECT 1"),
		"hold":    app.run("SELECT pg_sleep(3600)"),
		"copy_in": app.copyIn,
		"finish": func() error {
			_, err := app.copying.Exec()
			return err
		},
	}
}

func (app *pqApplication) describe(err error) answer {
	said := answer{"class": fmt.Sprintf("%T", err),
		"broken": app.connection == nil || app.connection.PingContext(background) != nil}
	var fromServer *pq.Error
	if errors.As(err, &fromServer) {
		said["class"] = "pq.Error"
		said["sqlstate"] = string(fromServer.Code)
		said["detail"] = fromServer.Detail
		said["hint"] = fromServer.Hint
	} else if errors.Is(err, driver.ErrBadConn) {
		said["class"] = "driver.ErrBadConn"
	}
	return said
}

func (app *pqApplication) openPool(size int) error {
	database, err := sql.Open("postgres", "application_name="+os.Getenv("PGAPPNAME"))
	if err != nil {
		return err
	}
	database.SetMaxOpenConns(size)
	database.SetMaxIdleConns(size)
	app.pool = database
	borrowed := make([]*sql.Conn, size)
	for index := range borrowed {
		if borrowed[index], err = database.Conn(background); err != nil {
			return err
		}
	}
	for _, connection := range borrowed {
		if err := connection.Close(); err != nil {
			return err
		}
	}
	return nil
}

func (app *pqApplication) usePool() error {
	_, err := app.pool.ExecContext(background, "SELECT 1")
	return err
}

func main() { serve(&pqApplication{}) }
