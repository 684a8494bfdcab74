package inspect

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

const inventoryListing = header + `
@layer sha256/a
-9 usr/lib/os-release
-9 var/lib/dpkg/status
-9 var/lib/dpkg/info/libc6:amd64.list
-9 var/lib/dpkg/info/tzdata.list
-1 usr/lib/libc.so
@file usr/lib/os-release
 ID=debian
 VERSION_ID="13"
 PRETTY_NAME="Debian GNU/Linux 13 (trixie)"
@file var/lib/dpkg/status
 Package: libc6
 Architecture: amd64
 Version: 2.41-12+deb13u4
 Package: tzdata
 Architecture: all
 Version: 2026a
@file var/lib/dpkg/info/libc6:amd64.list
 /usr/lib/libc.so
@file var/lib/dpkg/info/tzdata.list
 /usr/share/doc
@layer sha256/b
-9 venv/Old-1.dist-info/METADATA
-9 venv/Old-1.dist-info/RECORD
@file venv/Old-1.dist-info/RECORD
 gone.py
@layer sha256/c
-0 venv/.wh.Old-1.dist-info
-9 venv/starlette-0.4.dist-info/METADATA
-9 venv/starlette-0.4.dist-info/RECORD
@file venv/starlette-0.4.dist-info/METADATA
 Name: Starlette
 Version: 0.4
 License: something else
 License-Expression: BSD-3-Clause
 Requires-Dist: typing_extensions>=4; python_version < "3.13"
 Requires-Dist: anyio<5
 Requires-Dist: httpx; extra == "full"
@file venv/starlette-0.4.dist-info/RECORD
 starlette.py
`

func TestInventory(t *testing.T) {
	listing, err := Parse(strings.NewReader(inventoryListing))
	if err != nil {
		t.Fatal(err)
	}
	got, err := NewInventory(testImage("a", "b", "c"), listing)
	if err != nil {
		t.Fatal(err)
	}
	want := &Inventory{
		System: System{ID: "debian", Version: "13", Name: "Debian GNU/Linux 13 (trixie)"},
		Packages: []Installed{
			{Name: "libc6", Version: "2.41-12+deb13u4", Kind: Debian, Architecture: "amd64"},
			// It has no file of its own, and is installed all the same.
			{Name: "tzdata", Version: "2026a", Kind: Debian, Architecture: "all"},
			// What a later layer deletes is not installed.
			{Name: "Starlette", Version: "0.4", Kind: Python, License: "BSD-3-Clause", Requires: []string{"anyio", "typing-extensions"}},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the inventory is\n%+v\nwant\n%+v", got, want)
	}
	if _, err := NewInventory(testImage("a", "x"), listing); !errors.Is(err, ErrListing) {
		t.Errorf("the listing of another image: %v", err)
	}
}

func TestAlpine(t *testing.T) {
	const text = header + `
@layer sha256/a
-9 etc/os-release
-9 lib/apk/db/installed
-700 lib/libc.so
-30 bin/busybox
@file etc/os-release
 ID=alpine
 VERSION_ID=3.22.1
@file lib/apk/db/installed
 R:before any package
 P:musl
 V:1.2.5-r10
 A:x86_64
 F:lib
 R:libc.so
 P:busybox
 V:1.37.0-r18
 A:x86_64
 F:bin
 R:busybox
`
	listing, err := Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	got, err := NewInventory(testImage("a"), listing)
	if err != nil {
		t.Fatal(err)
	}
	want := &Inventory{System: System{ID: "alpine", Version: "3.22.1"}, Packages: []Installed{
		{Name: "busybox", Version: "1.37.0-r18", Kind: Alpine, Architecture: "x86_64"},
		{Name: "musl", Version: "1.2.5-r10", Kind: Alpine, Architecture: "x86_64"},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the inventory is %+v, want %+v", got, want)
	}
	analysis, err := Analyze(testImage("a"), listing, 0)
	if err != nil || len(analysis.Packages) != 2 || analysis.Packages[0] != (Package{Name: "musl", Version: "1.2.5-r10", Kind: Alpine, Bytes: 700}) {
		t.Errorf("the packages are %+v, %v", analysis.Packages, err)
	}
}
