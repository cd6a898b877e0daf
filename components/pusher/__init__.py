"""The last stage: releases an approved model, completely or not at all."""
