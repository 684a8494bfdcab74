package inspect

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"reflect"
	"strings"
	"testing"
)

const gnuListing = `pyflow-inspect 1
@escaped
@layer sha256/aa
d0 ./
d0 ./usr/
-12 ./usr/a b
l0 ./usr/link -> a b
h0 ./usr/hard link to ./usr/a b
-3 ./usr/\321\202\\\t.txt
-0 ./usr/.wh.gone
c1 ./dev/null
no entry
-x ./usr/x
--1 ./usr/x
-9223372036854775807 ./usr/x
@file ./var/lib/dpkg/status
 Package: a
 Version: 1
@layer sha256/bb
-7 x
`

const busyboxListing = `pyflow-inspect 1
@layer sha256/aa
-12 usr/a b
-0 usr/hard -> usr/a b
-3 usr/a -> b
-4 usr/\321
@file ./opt/x.dist-info/RECORD
 a.py
`

func TestParse(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want []LayerListing
	}{
		"of GNU tar": {gnuListing, []LayerListing{
			{
				Digest: "sha256:aa",
				Entries: []Entry{
					{Directory, "usr", 0, ""},
					{File, "usr/a b", 12, ""},
					{Symlink, "usr/link", 0, ""},
					{Hardlink, "usr/hard", 0, "usr/a b"},
					{File, "usr/т\\\t.txt", 3, ""},
					{File, "usr/.wh.gone", 0, ""},
					{Type('c'), "dev/null", 0, ""},
				},
				Metadata: map[string][]string{"var/lib/dpkg/status": {"Package: a", "Version: 1"}},
			},
			{Digest: "sha256:bb", Entries: []Entry{{File, "x", 7, ""}}, Metadata: map[string][]string{}},
		}},
		"of BusyBox": {busyboxListing, []LayerListing{{
			Digest: "sha256:aa",
			Entries: []Entry{
				{File, "usr/a b", 12, ""},
				{Hardlink, "usr/hard", 0, "usr/a b"},
				// A file with content is not a link, whatever its name.
				{File, "usr/a -> b", 3, ""},
				{File, `usr/\321`, 4, ""},
			},
			Metadata: map[string][]string{"opt/x.dist-info/RECORD": {"a.py"}},
		}}},
		"nothing": {header + "\n-1 before any layer\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			listing, err := Parse(strings.NewReader(test.text))
			if err != nil || !reflect.DeepEqual(listing.Layers, test.want) {
				t.Errorf("got %+v, %v, want %+v", listing, err, test.want)
			}
		})
	}
}

func packed(t *testing.T, text string) string {
	t.Helper()
	var buffer bytes.Buffer
	writer := gzip.NewWriter(&buffer)
	_, err := writer.Write([]byte(text))
	if err == nil {
		err = writer.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(buffer.Bytes())
}

func TestDecode(t *testing.T) {
	listing, err := Decode(strings.NewReader(packed(t, gnuListing)))
	if err != nil || len(listing.Layers) != 2 {
		t.Errorf("got %+v, %v", listing, err)
	}
	whole := packed(t, gnuListing)
	for name, text := range map[string]string{
		"empty":          "",
		"no base64":      "?",
		"no gzip":        base64.StdEncoding.EncodeToString([]byte("plain text")),
		"cut off":        whole[:len(whole)/2],
		"another form":   packed(t, "pyflow-inspect 2\n"),
		"an endless one": packed(t, header+"\n"+strings.Repeat("x", longestLine+1)),
	} {
		if _, err := Decode(strings.NewReader(text)); !errors.Is(err, ErrListing) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// FuzzParse checks that no name in an image breaks the reading or the analysis of the listing.
func FuzzParse(f *testing.F) {
	f.Add(gnuListing)
	f.Add(busyboxListing)
	f.Add(header + "\n@layer a\n-1 a/b\n@layer b\n-1 a\n@layer a\nd0 a\n-5 a/.wh..wh..opq\n-1 .wh.a\n-9 .wh.\n")
	f.Fuzz(func(t *testing.T, text string) {
		listing, err := Parse(strings.NewReader(header + "\n" + text))
		if err != nil {
			if !errors.Is(err, ErrListing) {
				t.Errorf("error %v", err)
			}
			return
		}
		image := testImage()
		for _, layer := range listing.Layers {
			image.Manifest.Layers = append(image.Manifest.Layers, descriptor(layer.Digest))
			for _, entry := range layer.Entries {
				if strings.HasPrefix(entry.Path, "/") || strings.HasPrefix(entry.Path, "../") || entry.Bytes < 0 {
					t.Errorf("entry %+v leaves the image", entry)
				}
			}
		}
		a, err := Analyze(image, listing, 3)
		if err != nil {
			t.Fatalf("analyze: %v", err)
		}
		for _, waste := range a.Waste {
			if waste.Bytes > a.UnpackedBytes*int64(len(a.Layers)) {
				t.Errorf("of %d bytes these are wasted: %+v", a.UnpackedBytes, waste)
			}
		}
	})
}
