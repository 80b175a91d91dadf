// Pictures of moments, for what the pointer is at: asked of GetImages, a few at a time, and kept.
import { GetImagesCommand } from '@aws-sdk/client-kinesis-video-archived-media';
import { archived } from '../api/clients';
import { isForbidden } from '../api/errors';
import type { Clock } from './address';

const KEPT = 120;
const STEP = 1_000; // moments that are nearer to one another share a picture
const WIDTH = 240;

/** A picture as a URL of data, or why there is none. */
export type Still = { url: string } | { reason: string };

export class Stills {
  private readonly kept = new Map<string, Still>();
  private asking: AbortController | undefined;
  private none = ''; // why the server makes no pictures at all

  constructor(private readonly stream: string, private readonly clock: Clock) {}

  // With a wide view neighbouring pixels are minutes apart, and a picture for each second would never be met again.
  private key(at: number, pixel: number): number {
    const step = Math.max(STEP, 2 ** Math.ceil(Math.log2(Math.max(pixel * 6, 1))));
    return Math.round(at / step) * step;
  }

  /** The picture that is known of a moment, where a pixel is so many milliseconds. */
  known(at: number, pixel: number): Still | undefined {
    return this.none ? { reason: this.none } : this.kept.get(String(this.key(at, pixel)));
  }

  /** Asks for a picture; the one that was asked for before is not wanted any more. */
  async load(at: number, pixel: number): Promise<Still | undefined> {
    const moment = this.key(at, pixel);
    this.asking?.abort();
    const asking = new AbortController();
    this.asking = asking;
    try {
      const answer = await archived.send(new GetImagesCommand({
        StreamName: this.stream,
        ImageSelectorType: this.clock,
        StartTimestamp: new Date(moment),
        EndTimestamp: new Date(moment + 1),
        SamplingInterval: 3_000,
        Format: 'JPEG',
        FormatConfig: { JPEGQuality: '70' },
        WidthPixels: WIDTH,
        MaxResults: 1,
      }), { abortSignal: asking.signal });
      const image = answer.Images?.[0];
      const still: Still = image?.ImageContent
        ? { url: `data:image/jpeg;base64,${image.ImageContent}` }
        : { reason: image?.Error === 'MEDIA_ERROR' ? 'No picture can be made' : 'Nothing recorded' };
      this.keep(String(moment), still);
      return still;
    } catch (error) {
      if (asking.signal.aborted) return undefined;
      const message = (error as Error).message ?? '';
      if (/ffmpeg/.test(message)) this.none = 'The server makes no pictures: it has no ffmpeg';
      else if (isForbidden(error)) this.none = 'No right to pictures';
      return this.none ? { reason: this.none } : undefined;
    }
  }

  private keep(key: string, still: Still): void {
    this.kept.set(key, still);
    if (this.kept.size > KEPT) this.kept.delete(this.kept.keys().next().value!);
  }

  close(): void { this.asking?.abort(); }
}
