package diagnose

import (
	"strings"
	"testing"
)

func TestRefusedLocally(t *testing.T) {
	probe := Problem{Namespace: "hiking", Pod: "shop-1", Container: "app", Reason: unhealthy, Message: `Readiness probe failed: Get "http://10.0.0.7:8000/": dial tcp 10.0.0.7:8000: connect: connection refused`}
	for log, address := range map[string]string{
		"INFO:     Uvicorn running on http://127.0.0.1:8000 (Press CTRL+C to quit)":                                      "127.0.0.1:8000",
		"[2026-01-01 00:00:00 +0000] [7] [INFO] Running on http://127.0.0.1:8000 (CTRL + C to quit)":                     "127.0.0.1:8000",
		"[2026-01-01 00:00:00 +0000] [1] [INFO] Listening at: http://127.0.0.1:8000 (1)":                                 "127.0.0.1:8000",
		" * Running on http://127.0.0.1:5000":                                                                            "127.0.0.1:5000",
		"Starting development server at http://127.0.0.1:8000/":                                                          "127.0.0.1:8000",
		"INFO:waitress:Serving on http://localhost:8080":                                                                 "localhost:8080",
		"Uvicorn running on http://[::1]:8000":                                                                           "[::1]:8000",
		" * Running on all addresses (0.0.0.0)\n * Running on http://127.0.0.1:5000\n * Running on http://10.0.0.7:5000": "",
		"INFO:     Uvicorn running on http://0.0.0.0:8000":                                                               "",
		"INFO:     Application startup complete.":                                                                        "",
	} {
		got, ok := refusedLocally(probe, strings.Split(log, "\n"))
		if ok != (address != "") || ok && (!strings.Contains(got.Message, "listens on "+address+",") || got.Limit() != 0 || !strings.Contains(got.Remedy, "0.0.0.0")) {
			t.Errorf("%s: got %t, %+v", log, ok, got)
		}
	}
	probe.Message = "Readiness probe failed: HTTP probe failed with statuscode: 503"
	if _, ok := refusedLocally(probe, []string{"Uvicorn running on http://127.0.0.1:8000"}); ok {
		t.Error("a probe that is answered is not refused")
	}
}
