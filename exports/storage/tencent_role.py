"""Prints the credentials of the Tencent Cloud role of this machine or pod, as the AWS SDK wants.

    credential_process = python -m exports.storage.tencent_role

In the file that `AWS_CONFIG_FILE` names, this line lets the SDK run the program again before the
credentials end. The SDK itself knows only the roles of AWS. A pod of TKE with a role has
`TKE_ROLE_ARN` and three more variables; without them, it is the role of the virtual machine (CVM).

https://www.tencentcloud.com/document/product/213/4934
https://cloud.tencent.com/document/product/1312/73070
"""

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.request import ProxyHandler, Request, build_opener

METADATA: Final = "http://metadata.tencentyun.com/latest/meta-data/cam/security-credentials/"
STS: Final = "https://sts.tencentcloudapi.com/"
_TIMEOUT: Final = 5.0
"""Seconds."""
_LIFE: Final = 7200
"""Seconds that the credentials of a pod are valid."""


def main(*, metadata: str = METADATA, sts: str = STS) -> None:
    """Print the credentials; exit with 1 if there are none.

    Args:
        metadata: Address of the machine's metadata service.
        sts: Address of the service that gives credentials to a pod.
    """
    try:
        if "TKE_ROLE_ARN" in os.environ:
            answer = json.loads(_asked(_of_pod(sts)))["Response"]
            found = {**answer, **answer["Credentials"]}
        else:
            role = _asked(_request(metadata)).strip()
            found = json.loads(_asked(_request(metadata + role)))
        sys.stdout.write(json.dumps(_for_the_sdk(found)))
    except (OSError, ValueError, KeyError, TypeError) as error:
        # Only the class: the text may have a part of the credentials.
        sys.exit(f"Tencent Cloud gives this role no credentials ({type(error).__name__}).")


def _of_pod(sts: str) -> Request:
    token = Path(os.environ["TKE_WEB_IDENTITY_TOKEN_FILE"]).read_text(encoding="utf-8")
    asked = {
        "ProviderId": os.environ["TKE_PROVIDER_ID"],
        "WebIdentityToken": token,
        "RoleArn": os.environ["TKE_ROLE_ARN"],
        "RoleSessionName": "exports",
        "DurationSeconds": _LIFE,
    }
    headers = {
        "Authorization": "SKIP",  # the token is what shows who asks
        "Content-Type": "application/json",
        "X-TC-Action": "AssumeRoleWithWebIdentity",
        "X-TC-Region": os.environ["TKE_REGION"],
        "X-TC-Timestamp": str(int(time.time())),
        "X-TC-Version": "2018-08-13",
    }
    return _request(sts, json.dumps(asked).encode(), headers)


def _request(
    url: str, data: bytes | None = None, headers: Mapping[str, str] | None = None
) -> Request:
    return Request(url, data, dict(headers or {}))  # noqa: S310 -- the addresses above


def _asked(request: Request) -> str:
    # No proxy: the metadata service is on this machine's own link.
    proxies: dict[str, str] | None = {} if request.type == "http" else None
    with build_opener(ProxyHandler(proxies)).open(request, timeout=_TIMEOUT) as answer:
        return str(answer.read().decode())


def _for_the_sdk(found: dict[str, Any]) -> dict[str, Any]:
    end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(found["ExpiredTime"])))
    return {
        "Version": 1,
        "AccessKeyId": found["TmpSecretId"],
        "SecretAccessKey": found["TmpSecretKey"],
        "SessionToken": found["Token"],
        "Expiration": end,
    }


if __name__ == "__main__":
    main()
