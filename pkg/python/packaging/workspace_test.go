package packaging

import "testing"

func TestIncludes(t *testing.T) {
	for _, test := range []struct {
		members, exclude []string
		dir              string
		want             bool
	}{
		{[]string{"apps/*"}, nil, "apps/web", true},
		{[]string{"./apps/*/"}, nil, "apps/web", true},
		{[]string{"apps/*"}, nil, "apps/web/api", false},
		{[]string{"apps/**"}, nil, "apps/web/api", true},
		{[]string{"apps/**/api"}, nil, "apps/api", true},
		{[]string{"**"}, nil, "web", true},
		{[]string{"web", "api"}, nil, "api", true},
		{[]string{"w[!e]b", "w?b"}, []string{"web"}, "wob", true},
		{[]string{"apps/*"}, []string{"apps/w*"}, "apps/web", false},
		{nil, nil, "web", false},
		{[]string{"[", "api"}, nil, "web", false},
	} {
		workspace := UVWorkspace{Members: test.members, Exclude: test.exclude}
		if got := workspace.Includes(test.dir); got != test.want {
			t.Errorf("%q without %q has %s: %t, want %t", test.members, test.exclude, test.dir, got, test.want)
		}
	}
}

func TestJoin(t *testing.T) {
	root, err := ParsePyprojectAs("../../pyproject.toml", []byte(`[tool.uv.sources]
shared = { workspace = true }
vendored = { path = "vendor/one" }
torch = { index = "cpu" }
web = { path = "never" }

[[tool.uv.index]]
name = "cpu"
url = "https://download.example.com/cpu"
explicit = true

[[tool.uv.index]]
name = "unused"
url = "https://unused.example.com/"
explicit = true
`))
	if err != nil {
		t.Fatal(err)
	}
	member := parsePyproject(t, "[project]\nname = 'web'\n[tool.uv.sources]\nWeb = { git = 'https://h/web' }\n")
	member.Join(root, "../..")
	if source, ok := member.Source("shared"); !ok || !source.Workspace || source.Position.String() != "../../pyproject.toml:2" {
		t.Errorf("shared is %+v", source)
	}
	if source, ok := member.Source("vendored"); !ok || source.Path != "../../vendor/one" {
		t.Errorf("vendored is %+v", source)
	}
	if source, ok := member.Source("web"); !ok || source.Path != "" {
		t.Errorf("the member's own source does not win: %+v", source)
	}
	if indexes := member.UVIndexes(); len(indexes) != 1 || indexes[0].Name != "cpu" || indexes[0].Position.String() != "../../pyproject.toml:9" {
		t.Errorf("indexes are %+v", indexes)
	}
}
