package demo

import (
	"net/http"

	qr "github.com/piglig/go-qr"
)

const (
	// maxCodeText bounds what a code says: an address, not a letter. A code of
	// more would not be scanned from the back of a room either.
	maxCodeText = 200

	// codeScale is the size of a dot in the picture, which the page scales, and
	// codeBorder the quiet zone around the code, in dots (ISO/IEC 18004).
	codeScale  = 8
	codeBorder = 4
)

// code draws the text of a request as a QR code.
func (p *page) code(w http.ResponseWriter, r *http.Request) {
	text := r.URL.Query().Get("text")
	if text == "" || len(text) > maxCodeText {
		http.Error(w, "text: want 1 to 200 bytes", http.StatusBadRequest)
		return
	}
	code, err := qr.EncodeText(text, qr.Medium)
	var picture []byte
	if err == nil {
		picture, err = code.ToSVGBytes(qr.NewQrCodeImgConfig(codeScale, codeBorder, qr.WithOptimalSVG()))
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "image/svg+xml")
	_, _ = w.Write(picture) // a browser that is gone needs none
}
