"""Calls the operations that read stored media with boto3, as applications do, and prints what came as JSON.

Usage: python3 boto.py STREAM
"""

import base64
import datetime
import json
import os
import sys

import boto3
import botocore.config
import botocore.exceptions

stream = sys.argv[1]
config = botocore.config.Config(retries={"total_max_attempts": 1})
control = boto3.client("kinesisvideo", endpoint_url=os.environ["AWS_ENDPOINT_URL"], config=config)


def client(service, operation):
    endpoint = control.get_data_endpoint(StreamName=stream, APIName=operation)["DataEndpoint"]
    return boto3.client(service, endpoint_url=endpoint, config=config)


def code(call, **arguments):
    try:
        call(**arguments)
    except botocore.exceptions.ClientError as error:
        return error.response["Error"]["Code"]
    return "none"


archived = client("kinesis-video-archived-media", "LIST_FRAGMENTS")
media = client("kinesis-video-media", "GET_MEDIA")
now = datetime.datetime.now(datetime.timezone.utc)
hours = {"StartTimestamp": now - datetime.timedelta(hours=3), "EndTimestamp": now + datetime.timedelta(hours=3)}
by_producer = {"FragmentSelectorType": "PRODUCER_TIMESTAMP", "TimestampRange": hours}

pages = archived.get_paginator("list_fragments").paginate(
    StreamName=stream, FragmentSelector=by_producer, PaginationConfig={"PageSize": 2})
fragments = sorted((f for page in pages for f in page["Fragments"]), key=lambda f: f["ProducerTimestamp"])
numbers = [f["FragmentNumber"] for f in fragments]
inside = fragments[0]["ProducerTimestamp"] + datetime.timedelta(seconds=1)  # boto3 sends whole seconds
chunks = archived.get_media_for_fragment_list(StreamName=stream, Fragments=numbers)["Payload"].read()
follow = media.get_media(StreamName=stream, StartSelector={"StartSelectorType": "EARLIEST"})["Payload"]
clip = archived.get_clip(StreamName=stream, ClipFragmentSelector=by_producer)
images = archived.get_images(
    StreamName=stream, ImageSelectorType="PRODUCER_TIMESTAMP", StartTimestamp=inside,
    EndTimestamp=inside + datetime.timedelta(seconds=2), SamplingInterval=1000, Format="JPEG")["Images"]
dash = archived.get_dash_streaming_session_url(
    StreamName=stream, PlaybackMode="ON_DEMAND", DASHFragmentSelector=by_producer)

json.dump({
    "Numbers": numbers,
    "Chunks": base64.b64encode(chunks).decode(),
    "Media": base64.b64encode(follow.read(len(chunks))).decode(),
    "ClipType": clip["ContentType"],
    "Clip": base64.b64encode(clip["Payload"].read()).decode(),
    "Images": [image.get("ImageContent", "") for image in images],
    "DASH": dash["DASHStreamingSessionURL"],
    "Errors": {
        "ListFragments": code(archived.list_fragments, StreamName="none", FragmentSelector=by_producer),
        "GetMedia": code(media.get_media, StreamName=stream, StartSelector={
            "StartSelectorType": "FRAGMENT_NUMBER", "AfterFragmentNumber": "1"}),
        "GetMediaForFragmentList": code(
            archived.get_media_for_fragment_list, StreamName=stream, Fragments=["1"]),
        "GetClip": code(archived.get_clip, StreamName="none", ClipFragmentSelector=by_producer),
        "GetImages": code(
            archived.get_images, StreamName="none", ImageSelectorType="PRODUCER_TIMESTAMP",
            StartTimestamp=inside, EndTimestamp=inside + datetime.timedelta(seconds=2),
            SamplingInterval=1000, Format="JPEG"),
        "GetDASHStreamingSessionURL": code(
            archived.get_dash_streaming_session_url, StreamName=stream, PlaybackMode="ON_DEMAND"),
    },
}, sys.stdout)
