package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const testNumber = "91343852338176208490308672115616860505404839548"

func TestAppendAck(t *testing.T) {
	for _, c := range []struct {
		ack  Ack
		want string
	}{
		{Ack{Type: AckBuffering, FragmentNumber: testNumber, Timecode: 1612971629508},
			`{"EventType":"BUFFERING","FragmentTimecode":1612971629508,"FragmentNumber":"` +
				testNumber + `"}`},
		{Ack{Type: AckReceived, FragmentNumber: testNumber, Timecode: 0},
			`{"EventType":"RECEIVED","FragmentTimecode":0,"FragmentNumber":"` + testNumber + `"}`},
		{Ack{Type: AckPersisted, FragmentNumber: testNumber, Timecode: 179536064921},
			`{"EventType":"PERSISTED","FragmentTimecode":179536064921,"FragmentNumber":"` +
				testNumber + `"}`},
		{Ack{Type: AckError, FragmentNumber: testNumber, Timecode: 1565810137603,
			ErrorID: AckMaxFragmentDuration},
			`{"EventType":"ERROR","FragmentTimecode":1565810137603,"FragmentNumber":"` +
				testNumber + `","ErrorCode":"MAX_FRAGMENT_DURATION_REACHED","ErrorId":4002}`},
		{Ack{Type: AckError, ErrorID: AckInvalidMKVData},
			`{"EventType":"ERROR","ErrorCode":"INVALID_MKV_DATA","ErrorId":4006}`},
		{Ack{Type: AckIdle, FragmentNumber: testNumber}, `{"EventType":"IDLE"}`},
		{Ack{Type: AckReceived, FragmentNumber: `1"2\3`, Timecode: 1},
			`{"EventType":"RECEIVED","FragmentTimecode":1,"FragmentNumber":"123"}`},
	} {
		if got := string(AppendAck([]byte("x"), c.ack)); got != "x"+c.want+"\n" {
			t.Errorf("got  %swant %s", got, c.want)
		}
	}
}

// The service's table: producers act on the number, and people search for the name.
func TestAckErrorCodes(t *testing.T) {
	want := "4000 STREAM_READ_ERROR, 4001 MAX_FRAGMENT_SIZE_REACHED, 4002 " +
		"MAX_FRAGMENT_DURATION_REACHED, 4003 MAX_CONNECTION_DURATION_REACHED, " +
		"4004 FRAGMENT_TIMECODE_LESSER_THAN_PREVIOUS, 4005 MORE_THAN_ONE_TRACK_FOUND, 4006 " +
		"INVALID_MKV_DATA, 4007 INVALID_PRODUCER_TIMESTAMP, " +
		"4008 STREAM_NOT_ACTIVE, 4009 FRAGMENT_METADATA_LIMIT_REACHED, 4010 " +
		"TRACK_NUMBER_MISMATCH, 4011 FRAMES_MISSING_FOR_TRACK, " +
		"4012 MORE_THAN_ALLOWED_TRACKS_FOUND, 4500 KMS_KEY_ACCESS_DENIED, 4501 KMS_KEY_DISABLED, " +
		"4502 KMS_KEY_VALIDATION_ERROR, " +
		"4503 KMS_KEY_UNAVAILABLE, 4504 KMS_KEY_INVALID_USAGE, 4505 KMS_KEY_INVALID_STATE, 4506 " +
		"KMS_KEY_NOT_FOUND, 4507 STREAM_DELETED, " +
		"5000 INTERNAL_ERROR, 5001 ARCHIVAL_ERROR"
	var ids []AckErrorID
	for id := range ackErrorNames {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	var got []string
	for _, id := range ids {
		got = append(got, fmt.Sprintf("%d %s", id, id.Code()))
	}
	if strings.Join(got, ", ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, ", "), want)
	}
	if c := AckErrorID(9999).Code(); c != "INTERNAL_ERROR" {
		t.Errorf("an id outside of the table is %s", c)
	}
}

// scannedAck is what a producer's scanner finds in one HTTP chunk.
type scannedAck struct {
	event, number, timecode, errorID string
}

// scanAck follows the rules of the C producers' acknowledgement parser, a machine over single
// characters: one object per chunk of at most 1,024 bytes; strings end at the next quote, whatever
// stands before it; values begin with a quote, a digit, { or [; a known key twice, an unknown
// EventType and an ERROR without a number for ErrorId are errors; the rest is skipped.
func scanAck(chunk []byte) (scannedAck, error) {
	var a scannedAck
	if len(chunk) > 1024 {
		return a, errors.New("the chunk is too long")
	}
	i := bytes.IndexByte(chunk, '{')
	if i < 0 {
		return a, errors.New("no object")
	}
	seen := map[string]bool{}
	i++
	for {
		for i < len(chunk) && chunk[i] != '"' && chunk[i] != '}' {
			i++
		}
		if i == len(chunk) {
			return a, errors.New("the object does not end")
		}
		if chunk[i] == '}' {
			break
		}
		end := bytes.IndexByte(chunk[i+1:], '"')
		if end < 0 {
			return a, errors.New("a key does not end")
		}
		key := string(chunk[i+1 : i+1+end])
		i += end + 2
		for i < len(chunk) && (chunk[i] == ':' || chunk[i] == ' ') {
			i++
		}
		value, next, quoted, err := scanValue(chunk, i)
		if err != nil {
			return a, err
		}
		i = next
		var target *string
		switch key {
		case "EventType":
			target = &a.event
		case "FragmentNumber":
			target = &a.number
		case "FragmentTimecode":
			target = &a.timecode
		case "ErrorId":
			target = &a.errorID
			if quoted {
				return a, errors.New("ErrorId is a string")
			}
		default:
			continue
		}
		if seen[key] {
			return a, errors.New("a key is there twice")
		}
		seen[key] = true
		*target = value
	}
	return a, checkScanned(a)
}

func scanValue(chunk []byte, i int) (value string, next int, quoted bool, err error) {
	if i == len(chunk) {
		return "", 0, false, errors.New("a value is missing")
	}
	switch c := chunk[i]; {
	case c == '"':
		end := bytes.IndexByte(chunk[i+1:], '"')
		if end < 0 {
			return "", 0, false, errors.New("a string does not end")
		}
		return string(chunk[i+1 : i+1+end]), i + end + 2, true, nil
	case c >= '0' && c <= '9':
		j := i
		for j < len(chunk) && chunk[j] >= '0' && chunk[j] <= '9' {
			j++
		}
		return string(chunk[i:j]), j, false, nil
	default:
		return "", 0, false, fmt.Errorf("a value begins with %q", c)
	}
}

func checkScanned(a scannedAck) error {
	if !slices.Contains([]string{"BUFFERING", "RECEIVED", "PERSISTED", "ERROR", "IDLE"}, a.event) {
		return fmt.Errorf("the event type is %q", a.event)
	}
	if len(a.number) > 128 {
		return errors.New("the fragment number is too long")
	}
	if a.event == "ERROR" && a.errorID == "" {
		return errors.New("an ERROR without ErrorId")
	}
	if a.event != "ERROR" && a.event != "IDLE" && (a.number == "" || a.timecode == "") {
		return errors.New("an event of no fragment")
	}
	return nil
}

// Every acknowledgement comes out of the scanner, and out of encoding/json, as it was meant.
func TestAcksScan(t *testing.T) {
	var acks []Ack
	for _, number := range []string{"1", testNumber, strings.Repeat("9", 128),
		strings.Repeat("9", 2000)} {
		for _, timecode := range []int64{0, 1800, 1 << 62} {
			for _, typ := range []AckType{AckBuffering, AckReceived, AckPersisted} {
				acks = append(acks, Ack{Type: typ, FragmentNumber: number, Timecode: timecode})
			}
			for id := range ackErrorNames {
				acks = append(acks, Ack{Type: AckError, FragmentNumber: number, Timecode: timecode,
					ErrorID: id}, Ack{Type: AckError, ErrorID: id})
			}
		}
	}
	acks = append(acks, Ack{Type: AckIdle})
	for _, a := range acks {
		text := AppendAck(nil, a)
		got, err := scanAck(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		want := scannedAck{event: a.Type.String()}
		if a.FragmentNumber != "" {
			want.number = a.FragmentNumber[:min(len(a.FragmentNumber), MaxFragmentNumberLength)]
			want.timecode = strconv.FormatInt(a.Timecode, 10)
		}
		if a.Type == AckError {
			want.errorID = strconv.Itoa(int(a.ErrorID))
		}
		if got != want {
			t.Errorf("%s scanned as %+v", text, got)
		}
		if !json.Valid(text) || len(text) > MaxAckBytes || text[len(text)-1] != '\n' {
			t.Errorf("%s", text)
		}
	}
	// The scanner itself refuses what producers refuse.
	for _, bad := range []string{`{"EventType":"IDLE","X":null}`,
		`{"EventType":"ERROR","ErrorCode":"X"}`, `{"EventType":"IDLE","EventType":"IDLE"}`,
		`{"EventType":"OTHER"}`, `{"EventType":"ERROR","ErrorId":"1"}`} {
		if _, err := scanAck([]byte(bad)); err == nil {
			t.Errorf("scanned %s", bad)
		}
	}
}
