// hls.js, as the player page has it: loaded once, when the first picture is to be shown.
import type Hls from 'hls.js';

declare global {
  interface Window { Hls?: typeof Hls }
}

let loading: Promise<typeof Hls> | undefined;

/** Loads hls.js. The error is for people. */
export function loadHls(): Promise<typeof Hls> {
  loading ??= new Promise<typeof Hls>((resolve, reject) => {
    const script = document.createElement('script');
    script.src = 'player/hls.min.js';
    script.onload = () => {
      if (window.Hls?.isSupported()) resolve(window.Hls);
      else reject(new Error('This browser has no Media Source Extensions, so it cannot play HLS.'));
    };
    script.onerror = () => {
      loading = undefined; // the server may be away; asked again
      script.remove();
      reject(new TypeError('hls.js cannot be loaded'));
    };
    document.head.append(script);
  });
  return loading;
}
