package input

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
)

func TestRepositoryName(t *testing.T) {
	for address, want := range map[string]string{
		"https://git.example.com/team/api.git":        "api",
		"https://git.example.com/team/api":            "api",
		"https://git.example.com:8443/team/api/":      "api",
		"http://git.example.com/api.git":              "api",
		"ssh://git@git.example.com:2222/team/api.git": "api",
		"ssh://git.example.com/~me/api":               "api",
		"git@git.example.com:team/api.git":            "api",
		"git.example.com:api":                         "api",
		"me@host:~me/x@y/api.git":                     "api",
	} {
		if got, err := RepositoryName(address, !strings.HasPrefix(address, "http:")); err != nil || got != want {
			t.Errorf("%s: got %q, %v, want %q", address, got, err, want)
		}
	}
	for address, says := range map[string]string{
		"":                                      "not the address",
		"api":                                   "not the address",
		"/srv/git/api.git":                      "not the address",
		"--upload-pack=touch x":                 "not the address",
		"-uhunter2@host:api":                    "not the address",
		"me:hunter2@git.example.com/team/api":   "not the address",
		"git@host:api hunter2":                  "not the address",
		"https://me:hunter2@git.example.com/a%": "not the address",
		"https:///hunter2":                      "not the address",
		"file://host/hunter2":                   "the scheme file",
		"ext::sh -c hunter2://x/y":              "not the address",
		"https://me:hunter2@git.example.com/a":  "contains credentials",
		"https://hunter2@git.example.com/a":     "contains credentials",
		"ssh://git:hunter2@git.example.com/a":   "contains credentials",
		"https://git.example.com":               "no path",
		"https://git.example.com/.git":          "no path",
		"http://git.example.com/team/api.git":   "in clear",
		"HTTP://git.example.com/team/api.git":   "in clear",
		"https://git.example.com/a/..":          "no path",
	} {
		_, err := RepositoryName(address, true)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: error is %v, want it to say %q", address, err, says)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: error is %v, which repeats what may be a password", address, err)
		}
	}
}

func TestParseSecrets(t *testing.T) {
	dir := t.TempDir()
	file, large := filepath.Join(dir, "pip.conf"), filepath.Join(dir, "large")
	if err := os.WriteFile(file, []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(large, make([]byte, secretLimit+1), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PYFLOW_TEST_TOKEN", "hunter2")
	t.Setenv("PYFLOW_TEST_EMPTY", "")
	ofFile := pipelinerun.BuildSecret{ID: "pip", Value: []byte("hunter2\n")}
	ofVariable := pipelinerun.BuildSecret{ID: "pip", Value: []byte("hunter2")}
	for value, want := range map[string]pipelinerun.BuildSecret{
		"id=pip,src=" + file:                      ofFile,
		"id=pip,source=" + file:                   ofFile,
		"type=file,id=pip,src=" + file:            ofFile,
		`"src=` + file + `",ID=pip`:               ofFile,
		"id=pip,env=PYFLOW_TEST_TOKEN":            ofVariable,
		"type=env,id=pip,env=PYFLOW_TEST_TOKEN":   ofVariable,
		"type=env,id=pip,src=PYFLOW_TEST_TOKEN":   ofVariable,
		"id=PYFLOW_TEST_TOKEN":                    {ID: "PYFLOW_TEST_TOKEN", Value: []byte("hunter2")},
		"id=pip,env=PYFLOW_TEST_EMPTY":            {ID: "pip", Value: []byte{}},
		"id=pip.conf_2-x,secret=login":            {ID: "pip.conf_2-x", Secret: "login", Key: "pip.conf_2-x"},
		"id=pip,secret=login,key=token=with=sign": {ID: "pip", Secret: "login", Key: "token=with=sign"},
	} {
		got, err := ParseSecrets([]string{value})
		if err != nil || !reflect.DeepEqual(got, []pipelinerun.BuildSecret{want}) {
			t.Errorf("%s: got %+v, %v", value, got, err)
		}
	}
	for _, test := range []struct {
		values []string
		says   string
	}{
		{[]string{""}, "id=ID,src=FILE"},
		{[]string{`id=pip,"src=hunter2`}, "not a list"},
		{[]string{"hunter2"}, "a field is none of"},
		{[]string{"id=pip,value=hunter2"}, "a field is none of"},
		{[]string{"id=pip,hunter2=="}, "a field is none of"},
		{[]string{"id=pip,src"}, "src has no value"},
		{[]string{"id=pip,env="}, "env has no value"},
		{[]string{"env=PYFLOW_TEST_TOKEN"}, "id"},
		{[]string{"id=../x,env=PYFLOW_TEST_TOKEN"}, `"../x"`},
		{[]string{"id=.x,env=PYFLOW_TEST_TOKEN"}, `".x"`},
		{[]string{"id=pip"}, "secret pip: there is neither a variable nor a file of that name; write"},
		{[]string{"id=pip,env=PYFLOW_TEST_TOKEN,src=" + file}, "secret pip: write"},
		{[]string{"id=pip,env=PYFLOW_TEST_TOKEN,key=x"}, "secret pip: write"},
		{[]string{"id=pip,type=vault,env=PYFLOW_TEST_TOKEN"}, "neither file nor env"},
		// What a shell makes of env=$TOKEN.
		{[]string{"id=pip,env=hunter2"}, "pip: the variable"},
		{[]string{"id=pip,src=" + filepath.Join(dir, "absent")}, "absent"},
		{[]string{"id=pip,src=" + large}, "more than 512"},
		{[]string{"id=pip,src=" + file, "id=pip,env=PYFLOW_TEST_TOKEN"}, "two secrets pip"},
	} {
		_, err := ParseSecrets(test.values)
		if err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%q: error is %v, want it to say %q", test.values, err, test.says)
		}
		if err != nil && strings.Contains(strings.ToLower(err.Error()), "hunter2") {
			t.Errorf("%q: error is %v, which repeats a value", test.values, err)
		}
	}
}
