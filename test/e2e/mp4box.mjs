// mp4box.mjs reads fragmented MP4 files (an initialization section and its segments, one after the other) with mp4box and prints what
// it found in each as JSON.
//
//   node mp4box.mjs < list.json       list.json: ["a.mp4", …]
import { readFileSync } from 'node:fs';
import { createFile, Log } from 'mp4box';

let complaints = [];
const complain = (module, message) => complaints.push(`${module}: ${message}`);
Log.warn = complain;
Log.error = complain;

const results = JSON.parse(readFileSync(0, 'utf8')).map((path) => {
  complaints = [];
  const result = { path, tracks: [], boxes: [] };
  const file = createFile();
  file.onError = (module, message) => complain(module, message);
  file.onReady = (info) => { result.brands = info.brands; result.fragmented = info.isFragmented; };
  const bytes = readFileSync(path);
  const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  buffer.fileStart = 0;
  file.appendBuffer(buffer, true);
  file.flush();
  result.boxes = file.boxes.map((b) => b.type);
  for (const track of file.getInfo().tracks) {
    const samples = file.getTrackById(track.id).samples;
    let end = null;
    const gaps = [];
    samples.forEach((s, i) => {
      if (end !== null && s.dts !== end) gaps.push(i);
      end = s.dts + s.duration;
    });
    result.tracks.push({
      codec: track.codec, timescale: track.timescale, width: track.video?.width ?? 0, height: track.video?.height ?? 0,
      samples: samples.length, syncs: samples.filter((s) => s.is_sync).length, gaps,
      start: samples[0]?.dts ?? 0, end: end ?? 0, bytes: samples.reduce((sum, s) => sum + s.size, 0),
    });
  }
  result.complaints = complaints;
  return result;
});
console.log(JSON.stringify(results));
