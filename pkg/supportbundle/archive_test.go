package supportbundle

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestTail(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	long := strings.Repeat("l", 50)
	for name, test := range map[string]struct {
		limit int64
		lines []string
		want  string
	}{
		"nothing":               {20, nil, ""},
		"all of it":             {20, []string{"one", "two"}, "one\ntwo\n"},
		"exactly":               {8, []string{"one", "two"}, "one\ntwo\n"},
		"one is too much":       {8, []string{"one", "two", "six"}, "… 4 bytes before this are left out\ntwo\nsix\n"},
		"the middle of a line":  {10, []string{"12345", "12345", "1"}, "… 6 bytes before this are left out\n12345\n1\n"},
		"a line beyond limit":   {10, []string{long}, long + "\n"},
		"and another after it":  {10, []string{long, "one"}, fmt.Sprintf("… %d bytes before this are left out\none\n", len(long)+1)},
		"and another before it": {10, []string{"one", long}, "… 4 bytes before this are left out\n" + long + "\n"},
		"over and over":         {9, slices.Repeat([]string{"12345678"}, 100), fmt.Sprintf("… %d bytes before this are left out\n12345678\n", 99*9)},
	} {
		t.Run(name, func(t *testing.T) {
			keep, err := newTail(1)
			if err != nil {
				t.Fatal(err)
			}
			defer keep.close()
			// What another log left behind must not appear.
			for range 3 {
				if err := keep.line("of another log"); err != nil {
					t.Fatal(err)
				}
			}
			if err := keep.reset(); err != nil {
				t.Fatal(err)
			}
			keep.limit = test.limit
			for _, line := range test.lines {
				if err := keep.line(line); err != nil {
					t.Fatal(err)
				}
			}
			size, content, err := keep.content()
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(content)
			if err != nil || string(got) != test.want || size != int64(len(got)) {
				t.Errorf("got %q, size %d, %v, want %q", got, size, err, test.want)
			}
		})
	}
	left, err := os.ReadDir(os.Getenv("TMPDIR"))
	if err != nil || len(left) > 0 {
		t.Errorf("%d files are left behind, %v", len(left), err)
	}
}

func TestReadLines(t *testing.T) {
	long := strings.Repeat("x", maxLine+10)
	var got []string
	err := readLines(strings.NewReader("one\r\n\n"+long+"\nlast"), func(line string) error {
		got = append(got, line)
		return nil
	})
	want := []string{"one", "", long[:maxLine] + "… (11 bytes more)", "last"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %d lines, %v", len(got), err)
	}
}
