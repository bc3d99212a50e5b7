package upgrade

import (
	"net/http"
	"reflect"
	"testing"
)

func TestForwardHeader(t *testing.T) {
	for _, tc := range []struct {
		name, peer string
		in, want   http.Header
	}{
		{"nothing set", "192.0.2.1:5",
			http.Header{"Accept": {"a", "b"}},
			http.Header{"Accept": {"a", "b"}, "X-Forwarded-For": {"192.0.2.1"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"x"}}},
		{"an ingress set them", "[2001:db8::1]:5",
			http.Header{"X-Forwarded-For": {"10.0.0.1", "10.0.0.2"}, "X-Forwarded-Proto": {"wss"}, "X-Forwarded-Host": {"y"}, "X-Real-Ip": {"10.0.0.1"}, "Forwarded": {"for=a"}},
			http.Header{"X-Forwarded-For": {"10.0.0.1, 10.0.0.2, 2001:db8::1"}, "X-Forwarded-Proto": {"wss"}, "X-Forwarded-Host": {"y"}, "X-Real-Ip": {"10.0.0.1"}, "Forwarded": {"for=a"}}},
		{"H18 Connection names what is not its own", "",
			http.Header{"Connection": {"upgrade, x-forwarded-for, authorization", "sec-websocket-protocol, X-Real-Ip"},
				"X-Forwarded-For": {"10.0.0.1"}, "Authorization": {"b"}, "Sec-Websocket-Protocol": {"c"}, "X-Real-Ip": {"d"}},
			http.Header{"X-Forwarded-For": {"10.0.0.1"}, "Authorization": {"b"}, "Sec-Websocket-Protocol": {"c"}, "X-Real-Ip": {"d"},
				"X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"x"}}},
		{"H19 forged spellings", "",
			http.Header{"X_Forwarded_For": {"1"}, "X-Forwarded_proto": {"2"}, "X_real_ip": {"3"}, "X_forwarded-Host": {"4"},
				"Wsr-Token": {"5"}, "Wsr_token": {"6"}, "X-Wsr-Owner": {"7"}, "X_wsr_owner": {"8"}, "x-WSR-any": {"9"}, "Wsr-": {"10"},
				"My_header": {"kept"}, "Wsrx": {"kept"}},
			http.Header{"My_header": {"kept"}, "Wsrx": {"kept"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"x"}}},
		{"hop by hop", "",
			http.Header{"Keep-Alive": {"1"}, "Proxy-Connection": {"2"}, "Te": {"gzip, trailers"}, "Transfer-Encoding": {"3"}, "Upgrade": {"4"}, "Trailer": {"5"}},
			http.Header{"Te": {"trailers"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"x"}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := &http.Request{Header: tc.in.Clone(), Host: "x", RemoteAddr: tc.peer}
			if got := ForwardHeader(r, "https"); !reflect.DeepEqual(got, tc.want) {
				t.Errorf("%v\nwant %v", got, tc.want)
			}
			if !reflect.DeepEqual(r.Header, tc.in) {
				t.Errorf("the request's own header became %v", r.Header)
			}
		})
	}
}
