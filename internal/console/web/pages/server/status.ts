/** GetServerStatus of docs/administration.md; times are seconds since the Unix epoch. */
export interface ServerStatus {
  Version: string;
  CurrentTime: number;
  StartTime: number;
  Disk: { FreeBytes: number; TotalBytes: number; State: 'WRITABLE' | 'FULL'; FullTime: number | null } | null;
  CertificateEndTime: number | null;
  Samples: {
    Time: number; IngestBytes: number; IngestFragments: number; SentBytes: number; Producers: number; StoreMicros: number; LatencyMicros: number;
    FreeBytes: number;
  }[];
}
