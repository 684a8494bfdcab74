package packaging

import "testing"

func FuzzLocks(f *testing.F) {
	f.Add([]byte("version = 1\n[[package]]\nname = \"a\"\nversion = \"1\"\nsource = { registry = \"https://pypi.org/simple\" }\n"))
	f.Add([]byte("[[package]]\nname = \"a\"\nversion = \"1\"\n[metadata]\nlock-version = \"2.1\"\n"))
	f.Add([]byte(`{"_meta": {}, "default": {"a": {"version": "==1"}}, "develop": {}}`))
	f.Add([]byte("[project]\nname = 'a'\ndependencies = ['b>=1; python_version > \"3\"']\n[packages]\na = '*'\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		project, err := ParsePyproject(content)
		if err == nil && project == nil {
			t.Error("neither a project nor an error")
		}
		lock, err := ReadUVLock(UVLock{}, content, &Pyproject{})
		if err == nil && lock == nil {
			t.Error("neither a lock of uv nor an error")
		}
		_, _ = ReadPoetryLock(content, &Pyproject{})
		_, _ = ReadPipfileLock(content, &Pipfile{})
		_, _ = ParsePipfile(content)
		ParseSetup(content, content)
	})
}
