package procfile_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/procfile"
)

func TestParse(t *testing.T) {
	got := procfile.Parse([]byte("# web: no\nweb: gunicorn app:app -b :$PORT \r\n\nsend_mail2 :  celery -A a:b worker\nempty:\nno process\n  release:a\nbad name: a\n"))
	want := []procfile.Process{{"web", "gunicorn app:app -b :$PORT", 2}, {"send_mail2", "celery -A a:b worker", 4}, {"release", "a", 7}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
