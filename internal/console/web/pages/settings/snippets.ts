// How to connect a camera: lines to copy, with the stream's name and this server's address.
import { origin, region } from '../../api/server';

export interface Snippet {
  title: string;
  note: string;
  text: string;
}

const url = new URL(origin);

/** Ways to send to a stream. The key pair is the camera's own. */
export function snippets(stream: string): Snippet[] {
  const environment = `export AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=…
export AWS_DEFAULT_REGION=${region}`;
  const endpoint = ` AWS_ENDPOINT_URL=${origin}`;
  return [
    {
      title: 'ffmpeg',
      note: 'A camera that speaks RTSP. Nothing is encoded again.',
      text: `${environment}${endpoint}
ffmpeg -rtsp_transport tcp -i rtsp://camera/stream -c copy -f matroska - |
  weir put-media --stream-name ${stream} -`,
    },
    {
      title: 'kvssink',
      note: 'The GStreamer element of the AWS C++ producer SDK.',
      text: `${environment} CONTROL_PLANE_URI=${origin}
gst-launch-1.0 rtspsrc location=rtsp://camera/stream ! rtph264depay ! h264parse ! kvssink stream-name=${stream}`,
    },
    {
      title: 'GStreamer',
      note: 'Without the AWS SDK.',
      text: `${environment}${endpoint}
gst-launch-1.0 -q rtspsrc location=rtsp://camera/stream ! rtph264depay ! h264parse !
  matroskamux streamable=true ! fdsink | weir put-media --stream-name ${stream} -`,
    },
    {
      title: 'C SDK',
      note: 'The samples of the AWS C producer SDK. They speak https only.',
      text: `${environment} CONTROL_PLANE_URI=https://${url.host}
./kvsVideoOnlyRealtimeStreamingSample ${stream}`,
    },
    {
      title: 'Certificate',
      note: 'A camera with a certificate of its own, which can be taken back. Run it where a key of the server is.',
      text: `weir camera add ${stream} --out cameras`,
    },
  ];
}
