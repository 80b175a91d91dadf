"""Takes temporary credentials with boto3, as applications do, and prints what came of them as JSON.

Usage: python3 sts.py ROLE_ARN

The profile "viewer" assumes the role; the default profile may.
"""

import hashlib
import json
import sys

import boto3
import botocore.exceptions


def code(call, **arguments):
    try:
        call(**arguments)
    except botocore.exceptions.ClientError as error:
        return f'{error.response["ResponseMetadata"]["HTTPStatusCode"]} {error.response["Error"]["Code"]}'
    return "none"


def session(credentials):
    return boto3.Session(
        aws_access_key_id=credentials["AccessKeyId"], aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"])


role = {"RoleArn": sys.argv[1], "RoleSessionName": "boto"}
by_profile = boto3.Session(profile_name="viewer")
sts = boto3.client("sts")
tagged = session(sts.assume_role(**role, Tags=[{"Key": "site", "Value": "north"}])["Credentials"])
listing = {"Effect": "Allow", "Action": "kinesisvideo:ListStreams", "Resource": "*"}
bound = session(sts.assume_role(**role, Policy=json.dumps(
    {"Version": "2012-10-17", "Statement": listing}))["Credentials"])

json.dump({
    "Profile": by_profile.client("sts").get_caller_identity()["Arn"],
    "Streams": [s["StreamName"] for s in by_profile.client("kinesisvideo").list_streams()["StreamInfoList"]],
    "Tagged": code(tagged.client("kinesisvideo").describe_stream, StreamName="north"),
    "Untagged": code(by_profile.client("kinesisvideo").describe_stream, StreamName="north"),
    "Bound": code(bound.client("kinesisvideo").describe_stream, StreamName="north"),
    "Listing": code(bound.client("kinesisvideo").list_streams),
    "Deleting": code(tagged.client("kinesisvideo").delete_stream,
                     StreamARN="arn:aws:kinesisvideo:us-west-2:000000000000:stream/north/1"),
    "Long": code(sts.assume_role, **role, DurationSeconds=7200),
    "Policy": code(sts.assume_role, **role, Policy="{"),
    "Packed": code(sts.assume_role, **role, Tags=[
        {"Key": str(i), "Value": hashlib.sha512(bytes([i])).hexdigest()} for i in range(50)]),
    "Nobody": code(sts.assume_role, RoleArn=role["RoleArn"] + "2", RoleSessionName="boto"),
    "Chained": code(tagged.client("sts").assume_role, **role),
    "Session": code(tagged.client("sts").get_session_token),
    "Wrong": code(boto3.Session(aws_access_key_id="AKIAIOSFODNN7EXAMPLE", aws_secret_access_key="x")
                  .client("sts").get_caller_identity),
    "Token": code(boto3.Session(
        aws_access_key_id="ASIAIOSFODNN7EXAMPLE", aws_secret_access_key="x", aws_session_token="x")
        .client("sts").get_caller_identity),
}, sys.stdout)
