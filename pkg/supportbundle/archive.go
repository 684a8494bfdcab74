package supportbundle

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// archive is a tar.gz whose bytes depend only on what is added to it, and in which order.
type archive struct {
	compressed *gzip.Writer
	tar        *tar.Writer
	root       string
	modified   time.Time
}

// newArchive returns an archive that writes to w, with all files in the directory root.
func newArchive(w io.Writer, root string, modified time.Time) *archive {
	compressed := gzip.NewWriter(w)
	return &archive{compressed: compressed, tar: tar.NewWriter(compressed), root: root, modified: modified.UTC().Truncate(time.Second)}
}

func (a *archive) close() error { return errors.Join(a.tar.Close(), a.compressed.Close()) }

func (a *archive) add(name string, content []byte) error {
	return a.stream(name, int64(len(content)), bytes.NewReader(content))
}

func (a *archive) stream(name string, size int64, content io.Reader) error {
	header := &tar.Header{Name: a.root + "/" + name, Mode: 0o644, Size: size, ModTime: a.modified, Format: tar.FormatPAX}
	if err := a.tar.WriteHeader(header); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if _, err := io.CopyN(a.tar, content, size); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// maxLine limits the memory for a line of a log. The rest of the line is left out.
const maxLine = 1 << 20

// tail keeps the last lines that are written to it: limit bytes, give or take a line. It uses
// two files, and empties the older one when the other is full.
type tail struct {
	files [2]*os.File
	sizes [2]int64
	// current is the index of the file that is written to.
	current int
	limit   int64
	// dropped is the number of bytes that neither file has any more.
	dropped int64
}

func newTail(limit int64) (*tail, error) {
	t := &tail{limit: limit}
	for i := range t.files {
		file, err := os.CreateTemp("", "pyflow-log-")
		if err != nil {
			t.close()
			return nil, fmt.Errorf("keep a log: %w", err)
		}
		t.files[i] = file
	}
	return t, nil
}

func (t *tail) close() {
	for _, file := range t.files {
		if file != nil {
			// A temporary file that stays behind does no harm.
			_ = file.Close()
			_ = os.Remove(file.Name())
		}
	}
}

func (t *tail) line(text string) error {
	if size := t.sizes[t.current]; size > 0 && size+int64(len(text))+1 > t.limit {
		other := 1 - t.current
		t.dropped += t.sizes[other]
		if err := t.empty(other); err != nil {
			return err
		}
		t.current = other
	}
	n, err := t.files[t.current].WriteString(text + "\n")
	t.sizes[t.current] += int64(n)
	return err
}

func (t *tail) empty(i int) error {
	t.sizes[i] = 0
	if _, err := t.files[i].Seek(0, io.SeekStart); err != nil {
		return err
	}
	return t.files[i].Truncate(0)
}

// reset empties the tail for another log.
func (t *tail) reset() error {
	t.current, t.dropped = 0, 0
	return errors.Join(t.empty(0), t.empty(1))
}

// content returns what is kept, after a line that reports how much is left out, if any. It
// returns at most limit bytes of both files together.
func (t *tail) content() (size int64, content io.Reader, err error) {
	older := 1 - t.current
	skip := max(0, t.sizes[older]+t.sizes[t.current]-t.limit)
	if skip > t.sizes[older] {
		skip = t.sizes[older] // One line may be longer than limit.
	}
	for _, file := range t.files {
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			return 0, nil, err
		}
	}
	reader := bufio.NewReader(t.files[older])
	if skip > 0 {
		// Skips to the start of a line, which may be here.
		if _, err := reader.Discard(int(skip - 1)); err != nil {
			return 0, nil, err
		}
		rest, err := discardLine(reader)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, nil, err
		}
		skip += rest - 1
	}
	dropped := t.dropped + skip
	head := ""
	if dropped > 0 {
		head = fmt.Sprintf("… %d bytes before this are left out\n", dropped)
	}
	size = int64(len(head)) + t.sizes[older] - skip + t.sizes[t.current]
	return size, io.MultiReader(strings.NewReader(head), reader, t.files[t.current]), nil
}

func discardLine(reader *bufio.Reader) (int64, error) {
	var n int64
	for {
		part, err := reader.ReadSlice('\n')
		n += int64(len(part))
		if !errors.Is(err, bufio.ErrBufferFull) {
			return n, err
		}
	}
}

// readLines calls visit for every line of r, without its line break.
func readLines(r io.Reader, visit func(string) error) error {
	reader := bufio.NewReaderSize(r, 64<<10)
	for {
		var line []byte
		cut := 0
		var err error
		for {
			var part []byte
			part, err = reader.ReadSlice('\n')
			keep := min(len(part), max(0, maxLine-len(line)))
			line = append(line, part[:keep]...)
			cut += len(part) - keep
			if !errors.Is(err, bufio.ErrBufferFull) {
				break
			}
		}
		if len(line) > 0 {
			text := strings.TrimRight(string(line), "\r\n")
			if cut > 0 {
				text += fmt.Sprintf("… (%d bytes more)", cut)
			}
			if err := visit(text); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
