// One playback session in one video element, played by hls.js: what it has, and what is wrong with it, in words.
import type Hls from 'hls.js';
import type { ErrorData, LevelDetails } from 'hls.js';
import { sentence } from '../api/errors';
import { reached, unreachable } from '../api/transport';
import { serverNow } from './sessions';
import { type Dated, dateAt, endDate } from './dates';

/** Why no picture comes. closed: the session was closed by others, or its time is over. */
export interface Trouble {
  kind: 'away' | 'closed' | 'failed';
  text: string;
}

/** What an engine is told to do. */
export interface Options {
  live: boolean;
  fullSize: boolean; // the one picture of a page, which may take memory
  parts: boolean; // plays parts of what is still coming in
  /** Where to begin, in the player's seconds; undefined: at the live edge, or the beginning. */
  begin: number | undefined;
  /** The playlist was loaded. */
  updated: () => void;
  trouble: (trouble: Trouble | null) => void;
}

const RETRY = 2_000; // milliseconds between attempts to reach the server
const CATCH_UP = 1.1; // how much faster a live picture that is late is played

// Errors of hls.js for codecs that the browser does not have.
const UNDECODABLE: string[] = ['manifestIncompatibleCodecsError', 'bufferAddCodecError', 'bufferIncompatibleCodecsError'];

function messageOf(data: ErrorData): string {
  const request = data.networkDetails as { response?: unknown } | undefined;
  const body = request?.response;
  try {
    const text = typeof body === 'string' ? body : new TextDecoder().decode(body as ArrayBuffer);
    const { Message, message } = JSON.parse(text) as { Message?: string; message?: string };
    return Message ?? message ?? '';
  } catch {
    return '';
  }
}

export class Engine {
  private readonly hls: Hls;
  private retry = 0;
  private recovered = -Infinity; // when a media error was last recovered from
  private edge = -1; // the end of the playlist, the player's seconds
  private edgeAt = performance.now(); // when it last moved
  private over = false;

  constructor(Class: typeof Hls, readonly video: HTMLVideoElement, url: string, private readonly options: Options) {
    const { live, fullSize, parts } = options;
    this.hls = new Class({
      startPosition: options.begin ?? -1,
      lowLatencyMode: live && parts,
      maxLiveSyncPlaybackRate: live ? CATCH_UP : 1,
      enableWorker: false, // fragmented MP4 needs next to no work, and a worker would come from a blob
      backBufferLength: fullSize ? 60 : 5,
      maxBufferLength: fullSize ? 30 : 8,
      maxMaxBufferLength: fullSize ? 60 : 8,
      maxBufferSize: (fullSize ? 60 : 8) * 1_000_000,
    });
    const { hls } = this;
    hls.on(Class.Events.LEVEL_LOADED, (_, data) => {
      if (this.over) return;
      this.options.trouble(null);
      const request = data.networkDetails as XMLHttpRequest | null;
      reached(request?.getResponseHeader?.('Date') ?? null);
    });
    hls.on(Class.Events.LEVEL_UPDATED, (_, data) => {
      if (this.over) return;
      if (data.details.edge !== this.edge) {
        this.edge = data.details.edge;
        this.edgeAt = performance.now();
      }
      this.options.updated();
    });
    hls.on(Class.Events.FRAG_LOADED, () => { if (!this.over) this.options.trouble(null); });
    hls.on(Class.Events.ERROR, (_, data) => {
      if (this.over || !data.fatal) return;
      if (data.type === Class.ErrorTypes.NETWORK_ERROR) this.networkError(data);
      else if (UNDECODABLE.includes(data.details)) { // nothing that is tried again helps
        this.options.trouble({ kind: 'failed', text: 'This browser cannot decode this camera’s pictures (H.265 needs a decoder of the system). Other players can.' });
      } else if (data.type === Class.ErrorTypes.MEDIA_ERROR && performance.now() - this.recovered > 5_000) {
        this.recovered = performance.now();
        hls.recoverMediaError();
      } else {
        this.options.trouble({ kind: 'failed', text: `Playback failed: ${data.details}.` });
      }
    });
    hls.loadSource(url);
    hls.attachMedia(video);
  }

  private networkError(data: ErrorData): void {
    const code = data.response?.code ?? 0;
    const message = messageOf(data);
    if (code === 403) {
      this.options.trouble({ kind: 'closed', text: sentence(message || 'The session is over') });
      return;
    }
    const later = code === 0 || code === 404 || code >= 500 || (code === 400 && /limit/i.test(message));
    if (!later) {
      this.options.trouble({ kind: 'failed', text: message ? sentence(message) : `The server answered ${code}.` });
      return;
    }
    if (code === 0) unreachable();
    this.options.trouble({ kind: 'away', text: sentence(message || (code ? `The server answers ${code}` : 'The server cannot be reached')) });
    clearTimeout(this.retry);
    this.retry = setTimeout(() => {
      if (this.over) return;
      if (this.hls.levels.length) this.hls.startLoad();
      else this.hls.loadSource(this.hls.url!);
    }, RETRY) as unknown as number;
  }

  private segmentsOf(details: LevelDetails): readonly Dated[] {
    const hint = details.fragmentHint;
    return hint && hint.programDateTime !== null ? [...details.fragments, hint] : details.fragments;
  }

  /** The playlist's segments; with parts, the one that is still coming in too. */
  get segments(): readonly Dated[] {
    const details = this.hls.latestLevelDetails;
    return details ? this.segmentsOf(details) : [];
  }

  /** Whether the playlist was loaded. */
  get ready(): boolean { return this.hls.latestLevelDetails !== null; }

  /** Whether the playlist has no end yet. */
  get live(): boolean { return this.hls.latestLevelDetails?.live ?? this.options.live; }

  /** The date of the picture that is shown. */
  get date(): number | undefined { return dateAt(this.segments, this.video.currentTime); }

  /** The date of the last picture that is listed. */
  get end(): number | undefined { return endDate(this.segments); }

  /** Where live playback would be, the player's seconds. */
  get liveTime(): number | undefined { return this.hls.liveSyncPosition ?? undefined; }

  /** How far the picture is behind where live playback would be, seconds. */
  get behind(): number {
    const at = this.liveTime;
    return at === undefined ? 0 : at - this.video.currentTime;
  }

  /** From the camera's clock to the screen, seconds; undefined where there is no picture. */
  get latency(): number | undefined {
    const date = this.date;
    return date === undefined || this.video.readyState < 2 ? undefined : (serverNow() - date) / 1000;
  }

  /** Whether a live playlist has not grown for so long that its camera must be silent. */
  get silent(): boolean {
    const details = this.hls.latestLevelDetails;
    return !!details?.live && performance.now() - this.edgeAt > Math.max(2_000 * details.targetduration, 5_000);
  }

  /** Length of a picture, seconds, as the playlist has it. */
  get frame(): number {
    const rate = this.hls.levels[Math.max(this.hls.currentLevel, 0)]?.frameRate;
    return rate && rate > 0 ? 1 / rate : 1 / 25;
  }

  /** Lets hls.js hurry a late live picture, or leaves its speed alone. */
  catchUp(on: boolean): void {
    this.hls.config.maxLiveSyncPlaybackRate = on ? CATCH_UP : 1;
  }

  destroy(): void {
    this.over = true;
    clearTimeout(this.retry);
    this.hls.destroy();
  }
}
