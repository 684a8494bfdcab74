package packaging

import (
	"maps"
	"slices"
	"testing"
)

func TestMarkerExcludes(t *testing.T) {
	linux := Linux()
	python := Linux()
	python["python_version"] = "3.13"
	for _, test := range []struct {
		env    Environment
		marker Marker
		want   bool
	}{
		{linux, "", false},
		{linux, `sys_platform == "win32"`, true},
		{linux, `sys_platform == 'linux'`, false},
		{linux, `sys_platform != 'linux'`, true},
		{linux, `sys_platform=="win32"`, true},
		{linux, `"win32" == sys_platform`, true},
		{linux, `os_name == 'nt' or sys_platform == 'darwin'`, true},
		{linux, `os_name == 'nt' or sys_platform == 'linux'`, false},
		{linux, `platform_system == "Windows"`, true},
		{linux, `platform_system == "Linux" and platform_machine == "x86_64"`, false},
		{linux, `platform_system == "Windows" and platform_machine == "x86_64"`, true},
		{linux, `platform_system == "Windows" or platform_machine == "x86_64"`, false},
		{linux, `'linux' in sys_platform`, false},
		{linux, `'linux' not in sys_platform`, true},
		{linux, `sys_platform in 'win32 cygwin'`, true},
		{linux, `sys_platform not in 'linux darwin'`, true},
		{linux, `(os_name == 'nt') and (python_version < '3')`, true},
		{linux, `os_name == 'posix' and (python_version < '3' or sys_platform == 'win32')`, false},
		{linux, `((sys_platform == 'win32'))`, true},
		// The version of Python and the extra are not known.
		{linux, `python_version < '3'`, false},
		{linux, `extra == 'win'`, false},
		{linux, `extra == 'win' and sys_platform == 'win32'`, true},
		{python, `python_version < '3.11'`, true},
		{python, `python_version >= '3.9'`, false},
		{python, `'3.9' > python_version`, true},
		{python, `python_version < '3.11' or os_name == 'nt'`, true},
		{python, `python_version in '3.11, 3.12'`, true},
		{linux, `platform_python_implementation == 'PyPy'`, true},
		{linux, `platform_python_implementation != 'PyPy'`, false},
		// Names from before PEP 508.
		{linux, `sys.platform == 'win32'`, true},
		{linux, `python_implementation == 'Jython'`, true},
		// What is not a marker excludes nothing.
		{linux, `sys_platform == 'win32' and`, false},
		{linux, `sys_platform == 'win32')`, false},
		{linux, `(sys_platform == 'win32'`, false},
		{linux, `sys_platform == win32`, false},
		{linux, `sys_platform = 'win32'`, false},
		{linux, `sys_platform`, false},
		{linux, `sys_platform < 'win32'`, false},
		{linux, `not sys_platform == 'linux'`, false},
		{linux, `os_name == 'nt' ; x`, false},
		{linux, "several", false},
		{linux, "markers", false},
	} {
		if got := test.marker.Excludes(test.env); got != test.want {
			t.Errorf("%q: got %t, want %t", test.marker, got, test.want)
		}
	}
}

func TestAnyOf(t *testing.T) {
	for want, markers := range map[Marker][]Marker{
		"a":          {"a"},
		"(a) or (b)": {"a", "b"},
		"":           {"a", ""},
	} {
		if got := anyOf(markers); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestReachOnLinux(t *testing.T) {
	lock := &Lock{Packages: map[string]LockedPackage{
		"click":    {Needs: []Requirement{{Name: "colorama", Marker: "sys_platform == 'win32'"}}},
		"uvicorn":  {Needs: []Requirement{{Name: "click"}}, Extras: map[string][]Requirement{"standard": {{Name: "uvloop", Marker: "sys_platform != 'win32'"}}}},
		"colorama": {}, "uvloop": {}, "pywin32": {},
	}}
	reached := lock.Reach([]Requirement{{Name: "uvicorn", Extras: []string{"standard"}}, {Name: "pywin32", Marker: "os_name == 'nt'"}})
	if got := slices.Sorted(maps.Keys(reached)); !slices.Equal(got, []string{"click", "uvicorn", "uvloop"}) {
		t.Errorf("reached are %q", got)
	}
}

func TestTableMarker(t *testing.T) {
	for want, entry := range map[Marker]map[string]any{
		"":                        {"version": "1", "platform": false},
		"os_name == 'nt'":         {"markers": "os_name == 'nt'"},
		"sys_platform == 'win32'": {"platform": "win32"},
		"platform_system == 'X'":  {"platform_system": "== 'X'"},
		"python":                  {"python": "^3.9"},
		"(os_name == 'nt') and (sys_platform == 'win32')": {"markers": "os_name == 'nt'", "platform": "win32", "python": "^3.9"},
	} {
		if got := tableMarker(entry); got != want {
			t.Errorf("%v: got %q, want %q", entry, got, want)
		}
	}
}

func TestPoetryNeedMarker(t *testing.T) {
	table := func(marker string) any { return map[string]any{"version": "*", "markers": marker} }
	for want, value := range map[Marker]any{
		"os_name == 'nt'": table("os_name == 'nt'"),
		"(a) or (b)":      []any{table("a"), table("b")},
		"":                []any{table("a"), "1.0"},
	} {
		if need, _ := poetryNeed("x", value); need.Marker != want {
			t.Errorf("%v: got %q, want %q", value, need.Marker, want)
		}
	}
}
