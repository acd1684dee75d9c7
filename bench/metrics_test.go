package main

import "testing"

const page = `# HELP rest_client_request_size_bytes Request size in bytes. Broken down by verb and host.
# TYPE rest_client_request_size_bytes histogram
rest_client_request_size_bytes_bucket{host="127.0.0.1:1",verb="GET",le="64"} 7
rest_client_request_size_bytes_bucket{host="127.0.0.1:1",verb="GET",le="65536"} 7
rest_client_request_size_bytes_bucket{host="127.0.0.1:1",verb="GET",le="262144"} 7
rest_client_request_size_bytes_bucket{host="127.0.0.1:1",verb="GET",le="+Inf"} 7
rest_client_request_size_bytes_sum{host="127.0.0.1:1",verb="GET"} 0
rest_client_request_size_bytes_count{host="127.0.0.1:1",verb="GET"} 7
rest_client_request_size_bytes_bucket{host="127.0.0.1:1",verb="PATCH",le="64"} 0
rest_client_request_size_bytes_bucket{host="127.0.0.1:1",verb="PATCH",le="65536"} 3
rest_client_request_size_bytes_bucket{host="127.0.0.1:1",verb="PATCH",le="262144"} 4
rest_client_request_size_bytes_bucket{host="127.0.0.1:1",verb="PATCH",le="+Inf"} 4
rest_client_request_size_bytes_sum{host="127.0.0.1:1",verb="PATCH"} 90000
rest_client_request_size_bytes_count{host="127.0.0.1:1",verb="PATCH"} 4
go_goroutines 12
go_memstats_heap_alloc_bytes 1.048576e+06
`

func TestFigures(t *testing.T) {
	t.Parallel()
	f := gaugesOf(page)
	if f.goroutines != 12 || f.heap != mebi || f.sent != 90000 {
		t.Errorf("%+v", f)
	}
	if got := f.largest(gauges{}); got != 262144 {
		t.Errorf("the largest of all is %v", got)
	}
	before := gaugesOf(page)
	before.sizes[64] -= 2
	before.sizes[65536] -= 3
	before.sizes[262144] -= 3
	if got := f.largest(before); got != 65536 {
		t.Errorf("the largest since is %v", got)
	}
	if got := f.largest(f); got != 0 {
		t.Errorf("nothing was sent, and the largest is %v", got)
	}
}
