package store

import "context"

// LockFile is lockFile.
var LockFile = lockFile

// WriterPragma returns a setting that the writer's connections have.
func WriterPragma(ctx context.Context, path, name string) (value string, err error) {
	db, err := openWriter(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = db.Close() }()
	err = db.QueryRowContext(ctx, "PRAGMA "+name).Scan(&value)
	return value, err
}
