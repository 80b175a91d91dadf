"""Makes calls with boto3 as a producer and as a viewer, and prints by which exception class each ended.

Usage: python3 boto_rights.py STREAM, with the profiles "producer" and "viewer"
"""

import json
import os
import sys
import time

import boto3
import botocore.config

stream = sys.argv[1]
config = botocore.config.Config(retries={"total_max_attempts": 1})
answers = []  # those of GetMedia last as long as they are held


class Caller:
    def __init__(self, profile):
        session = boto3.Session(profile_name=profile)
        endpoint = os.environ["AWS_ENDPOINT_URL"]
        self.control, self.archived, self.media = (
            session.client(service, endpoint_url=endpoint, config=config)
            for service in ("kinesisvideo", "kinesis-video-archived-media", "kinesis-video-media"))


def outcome(client, call, modelled, **arguments):
    """The name of the exception class that the service's model has for the error."""
    try:
        answers.append(getattr(client, call)(**arguments))
    except getattr(client.exceptions, modelled) as error:
        return type(error).__name__
    return "ok"


def outcomes(caller):
    now = {"StartSelectorType": "NOW"}
    denied, refused = "AccessDeniedException", "NotAuthorizedException"
    return {
        "create": outcome(caller.control, "create_stream", denied, StreamName=stream + "-2"),
        "list": outcome(caller.archived, "list_fragments", refused, StreamName=stream, FragmentSelector={
            "FragmentSelectorType": "SERVER_TIMESTAMP",
            "TimestampRange": {"StartTimestamp": 1, "EndTimestamp": 4102444800}}),
        "session": outcome(caller.archived, "get_hls_streaming_session_url", refused, StreamName=stream,
                           PlaybackMode="LIVE_REPLAY", HLSFragmentSelector={
                               "FragmentSelectorType": "SERVER_TIMESTAMP",
                               "TimestampRange": {"StartTimestamp": time.time() - 3600}}),
        "media": outcome(caller.media, "get_media", refused, StreamName=stream, StartSelector=now),
        "delete": outcome(caller.control, "delete_stream", denied,
                          StreamARN=caller.control.describe_stream(
                              StreamName=stream)["StreamInfo"]["StreamARN"]),
    }


viewer, producer = Caller("viewer"), Caller("producer")
print(json.dumps({
    "Viewer": outcomes(viewer),
    "Producer": outcomes(producer),
    "Missing": outcome(viewer.control, "describe_stream", "ResourceNotFoundException", StreamName="nobody"),
    "Limit": next((how for how in (
        outcome(viewer.control, "describe_stream", "ClientLimitExceededException", StreamName=stream)
        for _ in range(100)) if how != "ok"), "ok"),
    "Connections": outcome(viewer.media, "get_media", "ConnectionLimitExceededException", StreamName=stream,
                           StartSelector={"StartSelectorType": "NOW"}),
}))
