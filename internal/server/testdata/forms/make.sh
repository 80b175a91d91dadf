#!/usr/bin/env bash
# Makes the data directory of a released form, as the binary of that release writes it, with all that
# a directory may hold: H.264 with AAC, a sealed volume and an open one, a fragment that was cut short,
# tags, a stream without fragments, a playback session, keys, and what a kill -9 leaves behind.
#
#   make.sh WEIR NAME     writes NAME.tar.gz and NAME.json beside this file; needs ffmpeg
set -euo pipefail
weir=$(realpath "$1") out=$(realpath "$(dirname "$0")")/$2
work=$(mktemp -d)
data=$work/data
trap 'kill -9 $server 2> /dev/null || true; rm -rf "$work"' EXIT

serve() {
	"$weir" serve --data "$data" --listen 127.0.0.1:0 --min-free 0 > "$work/log" 2>&1 &
	server=$!
	until "$weir" env --data "$data" > "$work/env" 2> /dev/null; do sleep 0.1; done
	eval "$(cat "$work/env")"
}
video() { # seconds
	ffmpeg -v error -f lavfi -i testsrc=size=64x48:rate=10 -f lavfi -i sine=sample_rate=8000 -t "$1" \
		-c:v libx264 -g 10 -bf 0 -b:v 30k -c:a aac -b:a 8k -f matroska -
}
at() { date -u -d "$1" +%Y-%m-%dT%H:%M:%SZ; }

serve
"$weir" create-stream --stream-name cam --data-retention-in-hours 1000 --tags place=door > /dev/null
"$weir" create-stream --stream-name empty --data-retention-in-hours 24 > /dev/null
video 10 | "$weir" put-media --stream-name cam --start-timestamp "$(at '-2 minutes')" - > "$work/first"
kill -TERM $server; wait $server

serve # this start seals the volume
until grep -qa 'weir_store_sealed_volumes_total 1' <(curl -s "$AWS_ENDPOINT_URL/metrics"); do sleep 0.1; done
video 5 | "$weir" put-media --stream-name cam --start-timestamp "$(at '-1 minute')" - > "$work/second"
# A producer that dies within a fragment leaves what had come.
{ video 4 | head -c 14000; sleep 3; } |
	"$weir" put-media --stream-name cam --start-timestamp "$(at now)" - > "$work/third" 2>&1 &
producer=$!
sleep 2
kill -9 $producer
until grep -qaE 'partial"?\} [1-9]' <(curl -s "$AWS_ENDPOINT_URL/metrics"); do sleep 0.1; done
sleep 2 # the end of the session's range is a whole second in the past
url=$("$weir" get-hls-streaming-session-url --stream-name cam --playback-mode ON_DEMAND \
	--container-format FRAGMENTED_MP4 --hls-fragment-selector \
	"FragmentSelectorType=SERVER_TIMESTAMP,TimestampRange={StartTimestamp=$(at '-1 hour'),EndTimestamp=$(at now)}" |
	sed -n 's/.*SessionToken=\([^"]*\)".*/\1/p')
fragments=$(curl -s "$AWS_ENDPOINT_URL/hls/v1/getHLSMediaPlaylist.m3u8?SessionToken=$url&TrackNumber=1" | grep -c EXTINF)
sleep 0.3 # until the rows are in the table
kill -9 $server
rm "$data/config" # it names a server that is not there
printf '{"made": "%s", "fragments": %d, "session": "%s"}\n' "$(at now)" "$fragments" "$url" > "$out.json"
tar -C "$data" --sort=name --owner=0 --group=0 -czf "$out.tar.gz" .
ls -l "$out".*
