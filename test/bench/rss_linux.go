package main

// rssUnit is the unit of Rusage.Maxrss in bytes.
func rssUnit() int64 { return 1024 }
