package host

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Append adds one JSON line to a journal and makes it durable. Killed while
// writing: half a line stays at the end; the next Append starts a new line
// after it, so exactly that entry is lost and readers skip what is no JSON.
func Append(path string, entry any) error {
	line, err := json.Marshal(entry)
	if err != nil {
		return failed(path, "an entry cannot be written as JSON", "", err)
	}
	_, statErr := os.Lstat(path)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return wrap(path, err)
	}
	defer f.Close()
	// One writer at a time, or two could both mend the same half line.
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return wrap(path, err)
	}
	half, err := endsInHalfLine(f)
	if err != nil {
		return wrap(path, err)
	}
	if half {
		line = append([]byte("\n"), line...)
	}
	if _, err := f.Write(append(line, '\n')); err != nil {
		return wrap(path, err)
	}
	if err := f.Sync(); err != nil {
		return wrap(path, err)
	}
	if errors.Is(statErr, fs.ErrNotExist) {
		return wrap(path, syncDir(filepath.Dir(path)))
	}
	return nil
}

func endsInHalfLine(f *os.File) (bool, error) {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return false, err
	}
	last := make([]byte, 1)
	if _, err := f.ReadAt(last, info.Size()-1); err != nil {
		return false, err
	}
	return last[0] != '\n', nil
}
