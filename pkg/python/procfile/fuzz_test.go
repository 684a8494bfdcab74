package procfile

import "testing"

func FuzzParse(f *testing.F) {
	f.Add([]byte("web: gunicorn app:app\n# no\nworker: celery -A x\r\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		for _, process := range Parse(content) {
			if process.Name == "" {
				t.Errorf("a process without a name: %+v", process)
			}
		}
	})
}
